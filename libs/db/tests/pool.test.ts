import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { eventually } from "@codex/testkit";
import { sql } from "kysely";
import pg from "pg";
import { openDb } from "../src/index.ts";
import { testDatabase, type TestDatabase } from "./_util.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

const oneOfEach = `select 9223372036854775807::int8 as big, array[1, null, -9223372036854775808]::int8[] as bigs,
  timestamptz '2026-11-23 12:00:00.123Z' as instant, date '2026-11-23' as day, 0.1::numeric as exact,
  array[0.1]::numeric[] as exacts, 7::int4 as small, '{"a":1}'::jsonb as json`;

describe("types", () => {
  test("given an int8 above 2^53, when it is read, then it is an exact bigint; days and numerics are exact text", async () => {
    const { rows } = await database.open().pool.query(oneOfEach);
    expect(rows[0]).toEqual({
      big: 9223372036854775807n,
      bigs: [1n, null, -9223372036854775808n],
      instant: new Date("2026-11-23T12:00:00.123Z"),
      day: "2026-11-23",
      exact: "0.1",
      exacts: ["0.1"],
      small: 7,
      json: { a: 1 },
    });
  });

  test("given our pool, when a plain pool of the same process reads int8, then it still gets what pg gives", async () => {
    await database.open().ping();
    const plain = new pg.Pool({ connectionString: database.appUrl });
    const { rows } = await plain.query<{ big: unknown }>(oneOfEach);
    await plain.end();
    expect(rows[0]?.big).toBe("9223372036854775807");
  });

  test("given a bigint parameter, when it is written and read, then it is the same", async () => {
    const { rows } = await sql<{ same: bigint }>`select ${-(2n ** 63n)}::int8 as same`.execute(database.open().kysely);
    expect(rows[0]?.same).toBe(-(2n ** 63n));
  });
});

describe("connections", () => {
  test("given a pool, when asked for its settings, then schema, name and bounds are those of the config", async () => {
    const db = database.open({ statementTimeoutMs: 1_234 });
    const { rows } = await db.pool.query<{ value: string }>(
      `select current_setting(name) as value
       from unnest(array['search_path', 'application_name', 'statement_timeout', 'lock_timeout']) as name`,
    );
    expect(rows.map((row) => row.value)).toEqual(["svc,pg_temp", "test", "1234ms", "2s"]);
  });

  test("given options in the url, when connecting, then they are kept beside ours", async () => {
    const url = new URL(database.appUrl);
    url.searchParams.set("options", "-c extra_float_digits=2");
    const db = openDb({ url: url.href, schema: "svc", applicationName: "test" });
    const { rows } = await db.pool.query(
      "select current_setting('extra_float_digits') as digits, current_schema() as schema",
    );
    await db.close();
    expect(rows).toEqual([{ digits: "2", schema: "svc" }]);
  });

  test("given a slow statement, when the bound passes, then it is cancelled and the pool goes on", async () => {
    const db = database.open({ statementTimeoutMs: 100 });
    await expect(sql`select pg_sleep(10)`.execute(db.kysely)).rejects.toMatchObject({
      code: "service_unavailable",
      kind: "unavailable",
      cause: { code: "57014" },
    });
    await db.ping();
  });

  test("given a statement that runs, when its pool cancels, then its caller hears of it and the pool goes on; an idle one asks nobody", async () => {
    const db = database.open({ statementTimeoutMs: 60_000 });
    const slow = sql`select pg_sleep(30)`.execute(db.kysely);
    slow.catch(() => undefined);
    const sleeps = async (): Promise<boolean> => {
      const { rows } = await db.pool.query<{ n: bigint }>(
        "select count(*) as n from pg_stat_activity where query = 'select pg_sleep(30)' and wait_event = 'PgSleep'",
      );
      return rows[0]?.n === 1n;
    };
    await eventually(sleeps, { what: "the statement to run" });
    await db.cancel();
    await expect(slow).rejects.toMatchObject({ code: "service_unavailable", cause: { code: "57014" } });
    await db.ping();
    await db.cancel();
  });

  test("given a busy pool, when a connection is wanted for longer than the bound, then it is refused", async () => {
    const db = openDb({
      url: database.appUrl,
      schema: "svc",
      applicationName: "test",
      connectionsMax: 1,
      connectTimeoutMs: 100,
    });
    const borrowed = await db.pool.connect();
    await expect(db.ping()).rejects.toMatchObject({
      kind: "unavailable",
      cause: { message: expect.stringContaining("timeout exceeded") as unknown },
    });
    borrowed.release();
    await db.ping();
    await db.close();
  });

  test("given an idle connection, when the server ends it, then it is reported and the next query gets a new one", async () => {
    const errors: Error[] = [];
    const db = openDb({
      url: database.appUrl,
      schema: "svc",
      applicationName: "to-be-killed",
      onConnectionError: (error) => errors.push(error),
    });
    await db.ping();
    await database.admin(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'to-be-killed'",
    );
    await eventually(() => errors.length === 1, { what: "the report" });
    await db.ping();
    await db.close();
  });

  test("given a transaction, when the server ends its connection between two statements, then it fails and the pool goes on", async () => {
    const db = openDb({ url: database.appUrl, schema: "svc", applicationName: "to-be-cut", connectionsMax: 1 });
    const cut = db.transaction(async (trx) => {
      await sql`select 1`.execute(trx);
      await database.admin(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'to-be-cut'",
      );
      await sql`select 1`.execute(trx);
    });
    await expect(cut).rejects.toThrow();
    await db.ping();
    await db.close();
  });

  test("given a connection whose server does not answer in time, when it is released, then it is not given out again", async () => {
    const db = openDb({
      url: database.appUrl,
      schema: "svc",
      applicationName: "test",
      connectionsMax: 1,
      statementTimeoutMs: 100,
    });
    const before = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db.kysely);
    // The server's own bound is off, so it is ours that ends the wait.
    await sql`select set_config('statement_timeout', '0', false)`.execute(db.kysely);
    await expect(sql`select pg_sleep(8)`.execute(db.kysely)).rejects.toMatchObject({
      kind: "unavailable",
      cause: { message: "Query read timeout" },
    });
    const after = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db.kysely);
    expect(after.rows[0]?.pid).not.toBe(before.rows[0]?.pid);
    await db.close();
    await database.admin("select pg_terminate_backend($1)", [before.rows[0]?.pid]);
  });

  test("given a db, used or not, when it is closed twice, then both resolve and nothing can be asked any more", async () => {
    for (const used of [true, false]) {
      const db = openDb({ url: database.appUrl, schema: "svc", applicationName: "test" });
      if (used) await db.ping();
      await Promise.all([db.close(), db.close()]);
      await expect(db.ping()).rejects.toThrow();
      await expect(db.pool.query("select 1")).rejects.toThrow();
    }
  });

  test("given a schema name that is not plain, when opening, then it is refused", () => {
    for (const schema of ["", "a b", "a,b", "A", "1a", "a".repeat(49)]) {
      expect(() => openDb({ url: database.appUrl, schema, applicationName: "test" })).toThrow("schema must be");
    }
  });
});

test("given no server at all, when something is asked, then it is unavailable and not a defect of ours", async () => {
  const db = openDb({ url: "postgres://nobody:x@127.0.0.1:1/none", schema: "svc", applicationName: "test" });
  await expect(db.ping()).rejects.toMatchObject({ kind: "unavailable", code: "service_unavailable" });
  await expect(db.transaction(async (trx) => sql`select 1`.execute(trx))).rejects.toMatchObject({
    kind: "unavailable",
  });
  await db.close();
});

test("given a refusal that says why, when a query breaks a rule, then it reaches the caller as it is", async () => {
  const db = database.open();
  await expect(sql`select * from nowhere`.execute(db.kysely)).rejects.toMatchObject({ code: "42P01" });
});
