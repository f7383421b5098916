import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { sql } from "kysely";
import { isUniqueViolation, migrate, sqlState, type Db } from "../src/index.ts";
import { countOf, testDatabase, type Tables, type TestDatabase } from "./_util.ts";

let database: TestDatabase;
let db: Db<Tables>;
beforeAll(async () => {
  database = await testDatabase();
  const up = "create table account (id bigint primary key, name text not null constraint account_name_key unique)";
  await migrate({ url: database.ownerUrl, schema: "svc", migrations: [{ name: "20260101T0000_account", up }] });
  db = database.open();
});
afterAll(() => database.drop());

const failWith = (state: string) => sql`do ${sql.lit(`begin raise exception using errcode = '${state}'; end`)}`;

describe("retry", () => {
  test.each(["40001", "40P01"])(
    "given state %s each time, when run, then it is tried 3 times and the error comes out",
    async (state) => {
      let attempts = 0;
      const run = db.transaction(async (trx) => {
        attempts += 1;
        await failWith(state).execute(trx);
      });
      await expect(run).rejects.toMatchObject({ code: state });
      expect(attempts).toBe(3);
    },
  );

  test("given attemptsMax 5 and success at the fifth, when run, then the answer is the fifth's", async () => {
    let attempts = 0;
    const answer = await db.transaction(
      async (trx) => {
        attempts += 1;
        if (attempts < 5) await failWith("40001").execute(trx);
        return attempts;
      },
      { attemptsMax: 5 },
    );
    expect(answer).toBe(5);
  });

  test("given another failure, of the server or of ours, when run, then it is tried once", async () => {
    for (const fail of ["23505", "22012", undefined]) {
      let attempts = 0;
      const run = db.transaction(async (trx) => {
        attempts += 1;
        if (fail === undefined) throw new Error("ours");
        await failWith(fail).execute(trx);
      });
      await expect(run).rejects.toThrow();
      expect(attempts).toBe(1);
    }
  });

  test("given attempts out of bounds, when run, then it is refused", async () => {
    for (const attemptsMax of [0, 11, 1.5]) {
      await expect(db.transaction(async () => 1, { attemptsMax })).rejects.toThrow(RangeError);
    }
  });

  test("given two serializable transactions that depend on each other, when both commit, then one is run again and sees the other", async () => {
    await sql`delete from account`.execute(db.kysely);
    const bothHaveRead = Promise.withResolvers<undefined>();
    let reads = 0;
    const addIfFew = (id: bigint) =>
      db.transaction(
        async (trx) => {
          const seen = await countOf(trx, "account");
          reads += 1;
          if (reads === 2) bothHaveRead.resolve(undefined);
          await bothHaveRead.promise;
          if (seen === 0)
            await trx
              .insertInto("account")
              .values({ id, name: `n${id}` })
              .execute();
        },
        { isolation: "serializable" },
      );
    await Promise.all([addIfFew(1n), addIfFew(2n)]);
    expect(await countOf(db.kysely, "account")).toBe(1);
    expect(reads).toBe(3);
  });

  test("given a failing transaction, when it rejects, then nothing of it stays", async () => {
    await sql`delete from account`.execute(db.kysely);
    const run = db.transaction(async (trx) => {
      await trx.insertInto("account").values({ id: 1n, name: "a" }).execute();
      throw new Error("changed my mind");
    });
    await expect(run).rejects.toThrow("changed my mind");
    expect(await countOf(db.kysely, "account")).toBe(0);
  });
});

describe("isUniqueViolation", () => {
  test("given a violated constraint, when asked, then its name decides, also through a cause", async () => {
    await sql`delete from account`.execute(db.kysely);
    await db.kysely.insertInto("account").values({ id: 1n, name: "a" }).execute();
    const error: unknown = await db.kysely
      .insertInto("account")
      .values({ id: 2n, name: "a" })
      .execute()
      .catch((thrown: unknown) => thrown);
    expect(isUniqueViolation(error)).toBe(true);
    expect(isUniqueViolation(error, "account_name_key")).toBe(true);
    expect(isUniqueViolation(error, "account_pkey")).toBe(false);
    expect(isUniqueViolation(new Error("wrapped", { cause: error }), "account_name_key")).toBe(true);
    expect(sqlState(error)).toBe("23505");
  });

  test("given anything else, when asked, then it is false", async () => {
    const other: unknown = await failWith("23503")
      .execute(db.kysely)
      .catch((thrown: unknown) => thrown);
    for (const value of [other, new Error("23505"), { code: "23505" }, undefined, null, "23505"]) {
      expect(isUniqueViolation(value)).toBe(false);
    }
  });
});
