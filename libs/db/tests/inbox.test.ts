import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { sql } from "kysely";
import { inboxMigration, markHandled, migrate, pruneInbox, type Db } from "../src/index.ts";
import { countOf, someoneWaits, testDatabase, type Tables, type TestDatabase } from "./_util.ts";

let database: TestDatabase;
let db: Db<Tables>;
beforeAll(async () => {
  database = await testDatabase();
  await migrate({ url: database.ownerUrl, schema: "svc", migrations: [inboxMigration("20260101T0000_inbox")] });
  db = database.open({ connectionsMax: 20 });
});
beforeEach(() => sql`delete from inbox`.execute(db.kysely));
afterAll(() => database.drop());

const mark = (consumer: string, eventId: string) => db.transaction((trx) => markHandled(trx, consumer, eventId));

test("given an event, when it is marked again, then it is false, for this consumer only", async () => {
  expect(await mark("a", "evt_1")).toBe(true);
  expect(await mark("a", "evt_1")).toBe(false);
  expect(await mark("b", "evt_1")).toBe(true);
  expect(await mark("a", "evt_2")).toBe(true);
});

test.each(["read committed", "repeatable read", "serializable"] as const)(
  "given twenty handlers at once under %s, when all mark the same event, then exactly one gets true",
  async (isolation) => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        db.transaction((trx) => markHandled(trx, "a", "evt_1"), { isolation, attemptsMax: 10 }),
      ),
    );
    expect(answers.filter(Boolean)).toHaveLength(1);
  },
);

test.each([
  ["rolls back", false, true],
  ["commits", true, false],
])(
  "given a handler that has marked, when it %s, then the one that waits gets the rest",
  async (_how, commits, expected) => {
    const marked = Promise.withResolvers<undefined>();
    const end = Promise.withResolvers<undefined>();
    const first = db.transaction(async (trx) => {
      expect(await markHandled(trx, "a", "evt_1")).toBe(true);
      marked.resolve(undefined);
      await end.promise;
      if (!commits) throw new Error("rolled back");
    });
    await marked.promise;
    const second = mark("a", "evt_1");
    await someoneWaits(database);
    end.resolve(undefined);
    await first.catch(() => undefined);
    expect(await second).toBe(expected);
  },
);

test("given old and new ids, when pruned, then only the old are forgotten", async () => {
  await mark("a", "old");
  await sql`update inbox set handled_at = '2026-01-01Z'`.execute(db.kysely);
  await mark("a", "new");
  expect(await pruneInbox(db, new Date("2026-02-01T00:00:00Z"))).toBe(1);
  expect(await pruneInbox(db, new Date("2026-02-01T00:00:00Z"))).toBe(0);
  expect(await countOf(db.kysely, "inbox")).toBe(1);
});
