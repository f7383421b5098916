import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { eventually } from "@codex/testkit";
import { sql } from "kysely";
import {
  insertOutbox,
  migrate,
  outboxMigration,
  outboxSource,
  type Db,
  type OutboxMessage,
  type OutboxRow,
} from "../src/index.ts";
import { countOf, testDatabase, type Tables, type TestDatabase } from "./_util.ts";

let database: TestDatabase;
let db: Db<Tables>;
beforeAll(async () => {
  database = await testDatabase();
  await migrate({ url: database.ownerUrl, schema: "svc", migrations: [outboxMigration("20260101T0000_outbox")] });
  db = database.open();
});
beforeEach(() => sql`delete from outbox`.execute(db.kysely));
afterAll(() => database.drop());

const messages = (count: number): OutboxMessage[] =>
  Array.from({ length: count }, (_item, index) => ({
    eventId: `evt_${String(index).padStart(4, "0")}`,
    subject: "evt.key.changed.v1.k",
    payload: `{"n":${String(index)}}`,
    headers: {},
  }));
const insert = (rows: readonly OutboxMessage[]) => db.transaction((trx) => insertOutbox(trx, rows));
const ids = (rows: readonly OutboxRow[]): string[] => rows.map((row) => row.eventId);

test("given rows with quotes, commas, backslashes and other scripts, when processed, then they come out byte for byte", async () => {
  const row: OutboxMessage = {
    eventId: 'e"1,{}',
    subject: "evt.a.b",
    payload: '{"text": "a\\n\\"ё\\u0000 🙂, {x} \\\\ NULL"}',
    headers: { traceparent: "00-a-b-01", 'odd "key"': "NULL" },
  };
  await insert([row]);
  const seen: OutboxRow[] = [];
  await outboxSource(db).process(10, async (rows) => void seen.push(...rows));
  expect(seen).toEqual([{ ...row, id: expect.any(BigInt) }]);
});

test("given a transaction that is rolled back, when it added rows, then nothing is left and nobody is woken", async () => {
  const source = outboxSource(db);
  const woken: string[] = [];
  const stop = await source.listen(() => woken.push("woken"));
  const run = db.transaction(async (trx) => {
    await insertOutbox(trx, messages(3));
    expect(await countOf(trx, "outbox")).toBe(3);
    throw new Error("no");
  });
  await expect(run).rejects.toThrow("no");
  expect(await countOf(db.kysely, "outbox")).toBe(0);
  expect(await source.process(10, () => Promise.reject(new Error("must not be called")))).toBe(0);
  // Notifications come in order of commit: this one proves that none was sent before it.
  await insert(messages(1));
  await eventually(() => woken.length > 0, { what: "the notification" });
  await stop();
  expect(woken).toEqual(["woken"]);
});

test("given more rows than the limit, when processed, then the oldest come first, in order, and are gone afterwards", async () => {
  const all = messages(5);
  await insert(all);
  const source = outboxSource(db);
  const batches: string[][] = [];
  const publish = async (rows: readonly OutboxRow[]): Promise<void> => void batches.push(ids(rows));
  expect([
    await source.process(3, publish),
    await source.process(3, publish),
    await source.process(3, publish),
  ]).toEqual([3, 2, 0]);
  expect(batches).toEqual([
    ["evt_0000", "evt_0001", "evt_0002"],
    ["evt_0003", "evt_0004"],
  ]);
  expect(await countOf(db.kysely, "outbox")).toBe(0);
});

test("given a publish that fails, when processed, then its error comes out and the rows stay", async () => {
  await insert(messages(2));
  const source = outboxSource(db);
  await expect(source.process(10, () => Promise.reject(new Error("bus is down")))).rejects.toThrow("bus is down");
  expect(await countOf(db.kysely, "outbox")).toBe(2);
});

test("given a row that one relay holds, when another processes, then it gets the other rows only", async () => {
  await insert(messages(4));
  const source = outboxSource(db);
  const seen: string[][] = [];
  await source.process(2, async (first) => {
    seen.push(ids(first));
    await source.process(10, async (second) => void seen.push(ids(second)));
  });
  expect(seen).toEqual([
    ["evt_0000", "evt_0001"],
    ["evt_0002", "evt_0003"],
  ]);
});

test("given three relays at once over 600 rows, when all run until it is empty, then each row is published exactly once", async () => {
  const all = messages(600);
  await insert(all);
  const other = database.open();
  const published: string[] = [];
  const relay = async (target: Db<Tables>): Promise<void> => {
    const source = outboxSource(target);
    while ((await countOf(target.kysely, "outbox")) > 0) {
      await source.process(7, async (rows) => {
        published.push(...ids(rows));
        await nextTurn();
      });
    }
  };
  await Promise.all([relay(db), relay(other), relay(other)]);
  expect(published.length).toBe(600);
  expect([...published].sort()).toEqual(all.map((row) => row.eventId));
});

test("given a listener, when its connection is cut, then it connects again, calls once, and hears the next commit", async () => {
  let calls = 0;
  const stop = await outboxSource(db).listen(() => {
    calls += 1;
  });
  const isListening = "from pg_stat_activity where datname = current_database() and query ilike 'listen %'";
  await database.admin(`select pg_terminate_backend(pid, 5000) ${isListening}`);
  await eventually(() => calls === 1, { what: "the call after the reconnect" });
  await insert(messages(1));
  await eventually(() => calls === 2, { what: "the notification" });
  await stop();
  await stop();
  await eventually(async () => (await database.admin(`select 1 ${isListening}`)).length === 0, {
    what: "the end of the connection",
  });
});

test("given a server that does not answer, when listening, then it rejects", async () => {
  const { openDb } = await import("../src/index.ts");
  const nowhere = openDb({
    url: "postgres://127.0.0.1:1/none",
    schema: "svc",
    applicationName: "test",
    connectTimeoutMs: 500,
  });
  await expect(outboxSource(nowhere).listen(() => undefined)).rejects.toThrow();
  await nowhere.close();
});

test("given rows of some age, when asked, then the age is the oldest's in milliseconds; 0 when empty", async () => {
  const source = outboxSource(db);
  expect(await source.ageMs()).toBe(0);
  await insert(messages(2));
  await sql`update outbox set created_at = clock_timestamp() - interval '90 s' where event_id = 'evt_0000'`.execute(
    db.kysely,
  );
  const age = await source.ageMs();
  expect(age).toBeGreaterThanOrEqual(90_000);
  expect(age).toBeLessThan(120_000);
});

test("given an unpublished row of the same event id, when inserted again, then it is refused", async () => {
  await insert(messages(1));
  await expect(insert(messages(1))).rejects.toMatchObject({ constraint: "outbox_event_id_key" });
});

test("given bounds, when they are passed, then it is refused; no rows are no work", async () => {
  await insert([]);
  await expect(insert(messages(10_001))).rejects.toThrow(RangeError);
  for (const limit of [0, 1_001, 1.5]) {
    await expect(outboxSource(db).process(limit, async () => undefined)).rejects.toThrow(RangeError);
  }
});
