import { openDb, type Db } from "@codex/db";
import { idToUuid, ManualClock, newId, type AccountId, type SessionId } from "@codex/kernel";
import { createDatabase, type TestDatabase } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { beginSession, checkSession, endSession } from "../src/app/sessions.ts";
import type { SessionRole } from "../src/domain/session-rules.ts";
import { authMigrations, authSchema } from "../src/index.ts";
import type { AuthTables } from "../src/store/schema.ts";
import { sessionStore } from "../src/store/session-store.ts";

/** Below HTTP, because a month cannot be waited for: the use cases on real rows, with a clock that is moved. */

let database: TestDatabase;
let db: Db<AuthTables>;

beforeAll(async () => {
  database = await createDatabase({ service: [{ schema: authSchema, migrations: authMigrations }] });
  db = openDb({ url: database.urlFor("app", authSchema), schema: authSchema, applicationName: "test" });
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

interface Life {
  readonly clock: ManualClock;
  readonly sessionId: SessionId;
  isAlive(): Promise<boolean>;
  end(): Promise<void>;
  lastSeen(): Promise<Date | undefined>;
}

async function begin(role: SessionRole): Promise<Life> {
  const clock = new ManualClock();
  const accountId: AccountId = newId("acc");
  const account = { id: idToUuid(accountId), email: `${accountId}@example.org`, name: null, role };
  await db.kysely
    .insertInto("account")
    .values({ ...account, password_hash: "none", created_at: clock.now(), language: "ru", blocked_at: null })
    .execute();
  const ports = { sessions: sessionStore(db), clock };
  const sessionId = await beginSession(ports, accountId, "password");
  return {
    clock,
    sessionId,
    isAlive: async () => (await checkSession(ports, sessionId)).ok,
    end: () => endSession(ports, sessionId),
    lastSeen: async () => (await ports.sessions.find(sessionId))?.lastSeenAt,
  };
}

describe("idle", () => {
  test.each([
    ["user", dayMs],
    ["support", 30 * minuteMs],
    ["finance", 30 * minuteMs],
    ["admin", 30 * minuteMs],
  ] as const)(
    "given a session of role %s, when nothing happens, then it lives to the last millisecond and no longer",
    async (role, idleMs) => {
      const early = await begin(role);
      early.clock.advance(idleMs - 1);
      expect(await early.isAlive()).toBe(true);
      // That request kept it alive.
      early.clock.advance(idleMs - 1);
      expect(await early.isAlive()).toBe(true);
      const late = await begin(role);
      late.clock.advance(idleMs);
      expect(await late.isAlive()).toBe(false);
    },
  );
});

describe("absolute", () => {
  test.each([
    ["user", 23 * hourMs, 30 * dayMs],
    ["admin", 29 * minuteMs, 12 * hourMs],
  ] as const)(
    "given a session of role %s in use all the time, when its longest life is over, then it has ended",
    async (role, everyMs, lifeMs) => {
      const life = await begin(role);
      let agedMs = 0;
      while (agedMs + everyMs < lifeMs) {
        life.clock.advance(everyMs);
        agedMs += everyMs;
        expect(await life.isAlive()).toBe(true);
      }
      life.clock.advance(lifeMs - agedMs - 1);
      expect(await life.isAlive()).toBe(true);
      life.clock.advance(1);
      expect(await life.isAlive()).toBe(false);
    },
  );
});

describe("the row", () => {
  test("given requests within a minute, when they are checked, then the row is written once", async () => {
    const life = await begin("user");
    const born = life.clock.now();
    life.clock.advance(minuteMs - 1);
    await life.isAlive();
    expect(await life.lastSeen()).toEqual(born);
    life.clock.advance(1);
    await life.isAlive();
    expect(await life.lastSeen()).toEqual(life.clock.now());
  });

  test("given a session that was ended, when it is ended again and checked later, then it is over and keeps its first end", async () => {
    const life = await begin("user");
    life.clock.advance(minuteMs);
    await life.end();
    const ended = life.clock.now();
    life.clock.advance(minuteMs);
    await life.end();
    expect(await life.isAlive()).toBe(false);
    expect((await sessionStore(db).find(life.sessionId))?.endedAt).toEqual(ended);
  });
});
