import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createDatabase, eventually, type TestDatabase } from "@codex/testkit";
import pg from "pg";
import { migrations, schema } from "../src/index.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase({ service: [{ schema, migrations }] });
});
afterAll(async () => {
  await database.drop();
});

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: database.urlFor("app", schema),
    options: `-c search_path=${schema}`,
    statement_timeout: 10_000,
  });
  await client.connect();
  return client;
}

test("given one that makes the tables of the days, when a worker begins at the same moment, then it waits and gets its epoch", async () => {
  const [maker, worker, watcher] = await Promise.all([connect(), connect(), connect()]);
  try {
    await maker.query("begin");
    await maker.query("select ensure_usage_days()");
    const opened = worker.query<{ epoch: string }>("select open_epoch('worker-1') as epoch");
    await eventually(
      async () =>
        (await watcher.query("select from pg_locks where locktype = 'advisory' and not granted")).rowCount === 1,
      { what: "the worker's wait for the maker" },
    );
    await maker.query("commit");
    expect(Number((await opened).rows[0]?.epoch)).toBeGreaterThan(0);
  } finally {
    await Promise.all([maker.end(), worker.end(), watcher.end()]);
  }
});
