import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  auditLogMigration,
  listActs,
  migrate,
  recordActs,
  verifyActs,
  type AuditDraft,
  type Db,
} from "../src/index.ts";
import { testDatabase, type Tables, type TestDatabase } from "./_util.ts";

let database: TestDatabase;
let db: Db<Tables>;
let owner: Db<Tables>;

beforeAll(async () => {
  database = await testDatabase();
  await migrate({ url: database.ownerUrl, schema: "svc", migrations: [auditLogMigration("20260101T0000_audit_log")] });
  db = database.open({ connectionsMax: 10 });
  owner = database.open({ connectionsMax: 2, role: "owner" });
});
afterAll(() => database.drop());

const draft = (more: Partial<AuditDraft> = {}): AuditDraft => ({
  id: randomUUID(),
  actorId: randomUUID(),
  action: "thing_done",
  accountId: randomUUID(),
  target: "key_1",
  ...more,
});
const record = (...drafts: readonly AuditDraft[]): Promise<void> => db.transaction((trx) => recordActs(trx, drafts));

/** As whoever owns the database could: the guard is off, the text is changed, the guard is on again. */
async function tamper(text: string): Promise<void> {
  await database.admin("alter table svc.audit_act disable trigger audit_act_append_only");
  await database.admin(text);
  await database.admin("alter table svc.audit_act enable trigger audit_act_append_only");
}

describe("given acts of many writers at once", () => {
  test("when they have committed, then each has its line, in one chain without a gap; what was rolled back has none", async () => {
    const drafts = Array.from({ length: 40 }, (_none, index) =>
      draft({ details: { index, text: 'Ы "quoted" \\ \n' } }),
    );
    const writes = drafts.map((one, index) =>
      db.transaction(async (trx) => {
        await recordActs(trx, [one]);
        if (index % 10 === 9) throw new Error("rolled back");
      }),
    );
    const ended = await Promise.allSettled(writes);
    expect(ended.filter(({ status }) => status === "rejected")).toHaveLength(4);
    expect(await verifyActs(db)).toMatchObject({ count: 36n, broken: undefined });
    const acts = await listActs(db, {}, 100);
    expect(acts.map(({ seq }) => seq)).toEqual(Array.from({ length: 36 }, (_none, index) => BigInt(36 - index)));
    expect(new Set(acts.map(({ id }) => id))).toEqual(
      new Set(drafts.filter((_one, index) => index % 10 !== 9).map(({ id }) => id)),
    );
  });
});

describe("given a log", () => {
  test.each([
    ["changed", "update svc.audit_act set details = '{}' where seq = 7", 7n],
    ["given another actor", "update svc.audit_act set actor_id = account_id where seq = 8", 8n],
    ["taken out", "delete from svc.audit_act where seq = 9", 9n],
  ])("when a line is %s by the owner of the database, then it is found", async (_what, text, seq) => {
    const before = await database.admin<Record<string, unknown>>("select * from svc.audit_act where seq = $1", [seq]);
    await tamper(text);
    expect(await verifyActs(db)).toMatchObject({ broken: seq, count: seq - 1n });
    await tamper(`delete from svc.audit_act where seq = ${String(seq)}`);
    // The trigger would chain it anew; what it was is put back as it was.
    await database.admin("alter table svc.audit_act disable trigger audit_act_chain");
    const row = before[0] ?? {};
    const names = Object.keys(row);
    await database.admin(
      `insert into svc.audit_act (${names.join()}) values (${names.map((_name, index) => `$${String(index + 1)}`).join()})`,
      Object.values(row),
    );
    await database.admin("alter table svc.audit_act enable trigger audit_act_chain");
    expect(await verifyActs(db)).toMatchObject({ broken: undefined });
  });

  test("when its service or its owner changes, deletes or empties it, then it is refused; nobody chooses a number or a hash", async () => {
    for (const text of ["update audit_act set reason = 'x'", "delete from audit_act", "truncate audit_act"]) {
      await expect(db.pool.query(text)).rejects.toThrow(/permission denied/);
      await expect(owner.pool.query(text)).rejects.toThrow(/append-only/);
    }
    await db.pool.query(
      `insert into audit_act (seq, id, action, at, previous_hash, hash)
       values (5, $1, 'forged', now(), sha256('a'), sha256('b'))`,
      [randomUUID()],
    );
    expect(await verifyActs(db)).toMatchObject({ count: 37n, broken: undefined });
  });

  test("when a temporary table of its name stands in front, then the chain goes on from the real one", async () => {
    const client = await db.pool.connect();
    try {
      await client.query("create temporary table audit_act (seq bigint, hash bytea)").catch(() => undefined);
      await client.query(`insert into svc.audit_act (id, action, at) values ($1, 'late', now())`, [randomUUID()]);
    } finally {
      client.release(true);
    }
    expect(await verifyActs(db)).toMatchObject({ count: 38n, broken: undefined });
  });

  test("when it is searched, then every condition holds, and pages follow each other", async () => {
    const [actorId, accountId] = [randomUUID(), randomUUID()];
    const at = (minute: number): Date => new Date(Date.UTC(2030, 0, 1, 12, minute));
    await record(
      draft({ actorId, accountId, action: "first", at: at(1) }),
      draft({ actorId: accountId, accountId, action: "second", at: at(2) }),
      draft({ actorId: null, accountId, action: "second", at: at(3), reason: "by itself" }),
    );
    const found = async (filter: Parameters<typeof listActs>[1], limit = 10): Promise<unknown> =>
      (await listActs(db, { accountId, ...filter }, limit)).map(({ at: time }) => time.getUTCMinutes());
    expect(await found({})).toEqual([3, 2, 1]);
    expect(await found({ actorId })).toEqual([1]);
    expect(await found({ action: "second" })).toEqual([3, 2]);
    expect(await found({ byOthers: true })).toEqual([3, 1]);
    expect(await found({ since: at(2), until: at(3) })).toEqual([2]);
    const [newest] = await listActs(db, { accountId }, 1);
    expect(newest).toMatchObject({ actorId: null, reason: "by itself", target: "key_1", details: {}, at: at(3) });
    expect(await found({ beforeSeq: newest?.seq }, 1)).toEqual([2]);
  });
});
