import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { sql } from "kysely";
import { BinaryArray, prepared } from "../src/index.ts";
import { testDatabase, type TestDatabase } from "./_util.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

function arrayOf(type: "smallint" | "integer" | "bigint", values: readonly (number | bigint | null)[]): Buffer {
  const array = new BinaryArray(type, values.length);
  for (const value of values) {
    if (value === null) array.pushNull();
    else if (typeof value === "bigint") array.pushBig(value);
    else array.push(value);
  }
  return array.done();
}

describe("BinaryArray", () => {
  test("given elements, then it has values once one of them is not null", () => {
    const array = new BinaryArray("integer", 2);
    array.pushNull();
    expect(array.hasValues).toBe(false);
    array.push(0);
    expect(array.hasValues).toBe(true);
  });

  test("given numbers of any size and nulls, when Postgres reads them, then they are the same", async () => {
    const db = database.open();
    const optional = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<(T | null)[]> => fc.array(fc.option(values));
    const small = optional(fc.integer({ min: -32_768, max: 32_767 }));
    const middle = optional(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
    const big = optional(fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.maxSafeInteger()));
    await fc.assert(
      fc.asyncProperty(small, middle, big, async (smalls, middles, bigs) => {
        const { rows } = await sql`
          select ${arrayOf("smallint", smalls)}::smallint[] as smalls, ${arrayOf("integer", middles)}::integer[] as middles,
            ${arrayOf("bigint", bigs)}::bigint[] as bigs`.execute(db.kysely);
        const asBig = bigs.map((value) => (value === null ? null : BigInt(value)));
        expect(rows).toEqual([{ smalls, middles, bigs: asBig }]);
      }),
      { numRuns: 50 },
    );
  });

  test("given sixteen bytes, when Postgres reads them, then they are a uuid", async () => {
    const array = new BinaryArray("uuid", 2);
    array.pushBytes((target, offset) => target.write("0188bac74afa78aabc3bbd1eef28d881", offset, "hex"));
    array.pushNull();
    const { rows } = await sql`select ${array.done()}::uuid[] as ids`.execute(database.open().kysely);
    expect(rows).toEqual([{ ids: ["0188bac7-4afa-78aa-bc3b-bd1eef28d881", null] }]);
  });

  test("given what the type cannot hold, when it is pushed, then a RangeError and no other number", () => {
    const refused: readonly [() => void][] = [
      [() => new BinaryArray("smallint", 1).push(32_768)],
      [() => new BinaryArray("integer", 1).push(2 ** 31)],
      [() => new BinaryArray("bigint", 1).push(2 ** 53)],
      [() => new BinaryArray("bigint", 1).push(0.5)],
      [() => new BinaryArray("bigint", 1).pushBig(2n ** 63n)],
      [() => new BinaryArray("uuid", 1).push(1)],
      [() => new BinaryArray("integer", 0).push(1)],
    ];
    for (const [push] of refused) expect(push).toThrow(expect.objectContaining({ name: "RangeError" }));
  });
});

describe("a prepared statement", () => {
  test("given one connection, when it asks twice, then the statement was parsed once", async () => {
    const counted = await database
      .open()
      .kysely.connection()
      .execute(async (connection) => {
        for (const value of [1, 2])
          await sql`${prepared("two_times")}select ${value}::integer as value`.execute(connection);
        const { rows } = await sql<{ calls: bigint }>`
        select generic_plans + custom_plans as calls from pg_prepared_statements where name = 'two_times'`.execute(
          connection,
        );
        return rows;
      });
    expect(counted).toEqual([{ calls: 2n }]);
  });

  test("given a name that could end the comment, then a TypeError", () => {
    expect(() => prepared("x */ drop")).toThrow(TypeError);
  });
});
