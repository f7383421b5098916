import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { UsageRecord } from "@codex/contracts";
import { idToUuid, newId, type LeaseId } from "@codex/kernel";
import { createDatabase, type TestDatabase } from "@codex/testkit";
import { openDb, type Db } from "@codex/db";
import { createHash } from "node:crypto";
import pg from "pg";
import type { AuditMode, AuditReport } from "../src/app/audit-ports.ts";
import { migrations, schema } from "../src/index.ts";
import { createAuditStore } from "../src/store/audit-store.ts";
import { auditChecks } from "../src/store/audit/checks.ts";
import type { Tables } from "../src/store/schema.ts";
import { book, usageOf } from "./_book.ts";

/** Small books that hold: money in, a closed lease and a live one, a write-off, a pending debit and a posted one. */
const accountId = newId("acc");
const account = idToUuid(accountId);
const [lease, live, ended] = [newId("lse"), newId("lse"), newId("lse")];
const key = "00000000-0000-7000-8000-000000000001";

let database: TestDatabase;
let admin: pg.Client;
let db: Db<Tables>;
let epoch = "";

beforeAll(async () => {
  database = await createDatabase({ service: [{ schema, migrations }] });
  admin = new pg.Client({ connectionString: database.adminUrl, options: `-c search_path=${schema}` });
  await admin.connect();
  db = openDb<Tables>({ url: database.urlFor("app", schema), schema, applicationName: "audit test" });
  await makeBooks();
});
afterAll(async () => {
  await db.close();
  await admin.end();
  await database.drop();
});

function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

async function makeBooks(): Promise<void> {
  await admin.query(
    "insert into price_act (actor, act, target, before, after, reason) values ($1, 'group_set', $2, 'a', 'b', 'asked for')",
    [idToUuid(newId("acc")), account],
  );
  await admin.query(
    "select credit_account('grant:audit-paid', $1, uuid_v7(), $2, 'paid', 'payments_clearing', 3::smallint, 1000, 'test')",
    [hashOf("paid"), account],
  );
  await admin.query(
    "select credit_account('grant:audit-bonus', $1, uuid_v7(), $2, 'bonus', 'promo', 3::smallint, 30, 'test')",
    [hashOf("bonus"), account],
  );
  const opened = await admin.query<{ epoch: string }>("select open_epoch('worker') as epoch");
  epoch = opened.rows[0]?.epoch ?? "";
  await admin.query("select grant_lease($1, $2, 1, $3, 3::smallint, 100, 100, 60000)", [
    idToUuid(lease),
    epoch,
    account,
  ]);
  await admin.query("select grant_lease($1, $2, 2, $3, 3::smallint, 50, 50, 60000)", [idToUuid(live), epoch, account]);
  const close = { type: "lease_close", seq: 3, accountId, leaseId: lease, settledMicroTokens: 60n } as const;
  const usage = (seq: number, of: LeaseId, cost: bigint): UsageRecord => usageOf(seq, accountId, of, cost);
  await book(db, Number(epoch), [usage(1, lease, 40n), usage(2, lease, 20n), close]);
  await book(db, Number(epoch), [usage(4, lease, 7n), usage(5, live, 10n)]);
  const { rows } = await admin.query<{ epoch: string }>("select open_epoch('worker') as epoch");
  const second = rows[0]?.epoch ?? "";
  await admin.query("select grant_lease($1, $2, 1, $3, 3::smallint, 20, 20, 60000)", [
    idToUuid(ended),
    second,
    account,
  ]);
  await book(db, Number(second), [usage(1, ended, 8n), { ...close, seq: 2, leaseId: ended, settledMicroTokens: 8n }]);
  for (const [name, amount] of [
    ["one", 200],
    ["two", 100],
  ] as const) {
    await admin.query(
      `select pend_transfer($1, $2, uuid_v7(), 'payment_refund', $3, 'refund_clearing', 3::smallint, $4, 'test', now() + interval '1 day')`,
      [`pend:audit-${name}`, hashOf(name), account, amount],
    );
  }
  await admin.query(
    "select post_pending('post:audit-two', $1, (select id from pending_transfer where amount = 100), 100, uuid_v7())",
    [hashOf("post")],
  );
}

async function audit(mode: AuditMode, since?: Date): Promise<AuditReport> {
  const report = await createAuditStore(db).run(mode, since, false);
  if (!report) throw new Error("nobody else audits here");
  return report;
}

const runsIn = (id: string, mode: AuditMode): boolean =>
  auditChecks.some((check) => check.id === id && (check.only === undefined || check.only === mode));

/** Within the transaction that changed something. */
async function brokenNow(mode: AuditMode): Promise<string[]> {
  const found: string[] = [];
  for (const { id, sql, only } of auditChecks) {
    if (only !== undefined && only !== mode) continue;
    const text = `with found as (${sql}), scope as (select $1::timestamptz) select * from found`;
    if (((await admin.query(text, ["-infinity"])).rowCount ?? 0) > 0) found.push(id);
  }
  return found.toSorted();
}

const broken = (report: AuditReport): string[] =>
  report.results.filter((result) => result.offenders.length > 0).map((result) => result.id);

/** A refund that no transfer stands behind, of the request that cost 40. */
const refund = (after: number, charged: number): string =>
  `insert into usage_refund (account_id, request_id, number, batch_id, kind, paid_amount, bonus_amount, paid_transfer_id,
      refunded_after, charged, reason)
    select account_id, request_id, 1, batch_id, 'auto_refund', 5, 0, uuid_v7(), ${String(after)}, ${String(charged)}, 'test'
    from usage_line where cost = 40`;

const newest = "(select max(version) from entry where ledger_account_id = paid_account_id)";

/** What a superuser does behind the triggers' backs, and the checks of a full audit that say so. */
const tampering: readonly {
  readonly change: string;
  readonly found: readonly string[];
  readonly since?: readonly string[];
}[] = [
  { change: "update balance set paid = paid + 1", found: ["I1", "I2"] },
  { change: "update audit_act set reason = 'nothing happened'", found: ["acts-chain"] },
  { change: "update audit_act set at = at + interval '1 second'", found: ["acts-chain"] },
  { change: "delete from audit_act", found: ["acts-complete"] },
  {
    change:
      "update operator_balance set posted = posted + 1 where ledger_account_id = (select id from ledger_account where kind = 'promo' and shard = 3)",
    found: ["I1", "I2"],
  },
  {
    change:
      "update balance set paid = paid + 1; update operator_balance set posted = posted - 1 where ledger_account_id = (select id from ledger_account where kind = 'promo' and shard = 3)",
    found: ["I2"],
  },
  { change: "update balance set paid_version = paid_version + 1", found: ["I2"] },
  {
    change: `update entry e set balance_after = balance_after + 1 from balance b where e.ledger_account_id = b.paid_account_id and e.version = 1`,
    found: ["I3"],
  },
  {
    change: `delete from entry e using balance b where e.ledger_account_id = b.paid_account_id and e.version = 1`,
    found: ["I2", "I3", "transfer-legs"],
    since: ["I3", "transfer-legs"],
  },
  {
    change: `delete from entry e using balance b where e.ledger_account_id = b.paid_account_id and e.version = ${newest}`,
    found: ["I2", "transfer-legs"],
  },
  { change: "update transfer set amount = amount + 1 where kind = 'grant'", found: ["transfer-legs"] },
  {
    change: "update transfer set amount = amount + 1 where kind = 'usage' and amount = 10",
    found: ["batch-transfers", "batch-legs"],
  },
  {
    change: "delete from transfer where kind = 'write_off'",
    found: ["batch-transfers", "entry-cause"],
    since: ["batch-transfers"],
  },
  { change: "update entry set batch_id = 1 where batch_id = 2 and transfer_id is null", found: ["batch-balances"] },
  { change: "update ingest_batch set settled = settled + 1 where id = 1", found: ["I4", "batch-transfers"] },
  { change: "update ingest_batch set inserted = inserted + 1 where id = 1", found: ["I4"] },
  { change: "update usage_row set batch_id = 9 where hold = 7", found: ["I4", "I4-no-orphan"], since: ["I4"] },
  {
    change: "update usage_row set charged = coalesce(charged, cost) - 1 where hold = 10",
    found: ["I4", "I5-lease-settled"],
    since: ["I4"],
  },
  { change: "delete from usage_key", found: ["usage-named"], since: [] },
  { change: "delete from usage_shape", found: ["usage-named"], since: [] },
  { change: "update usage_row set account_no = 0 where lease_settled = 60", found: ["usage-named"], since: [] },
  { change: `update lease set granted = granted + 1 where state = 'open'`, found: ["I5"] },
  {
    change: `alter table balance drop constraint balance_available_not_negative; update balance set reserved = 100000`,
    found: ["I5", "I6"],
  },
  {
    change: `update pending_transfer set amount = 100000 where state = 'pending'`,
    found: ["I5", "I5-pending-kept"],
  },
  { change: "update pending_transfer set posted_amount = 99 where state = 'posted'", found: ["pending-posted"] },
  {
    change: "update pending_transfer set expires_at = now() - interval '11 minutes' where state = 'pending'",
    found: ["I9"],
  },
  { change: "update gateway_cursor set contiguous = contiguous - 1", found: ["I7-next"] },
  { change: "update gateway_cursor set contiguous = contiguous + 1", found: ["I7", "I7-next"] },
  {
    change: "delete from usage_row where hold = 8",
    found: ["I4", "I5-lease-settled", "I7", "I11-epoch"],
    since: ["I4"],
  },
  {
    change: "update usage_row set request_id = (select request_id from usage_row where hold = 40) where hold = 20",
    found: ["I8-once"],
    since: [],
  },
  { change: `update lease set granted_at = now() - interval '8 days' where state = 'open'`, found: ["I8-closed"] },
  {
    change:
      "update usage_row set seq = 9 where hold = 10; update gateway_cursor set contiguous = 4 where contiguous = 5; update ingest_batch set created_at = now() - interval '20 minutes'",
    found: ["I8-gap"],
    since: [],
  },
  {
    change: "update lease set worker_settled = 59 where state = 'closed'",
    found: ["I11-epoch", "I11-lease"],
    since: ["I11-lease"],
  },
  { change: `update lease set key_id = '${key}' where state = 'open'`, found: ["key-budget"] },
  {
    change: `insert into key_budget (key_id, period, starts_on, reserved) values ('${key}', 'day', '2026-11-25', 5)`,
    found: ["key-budget"],
  },
  { change: refund(5, 40), found: ["refund-moved"] },
  { change: refund(6, 40), found: ["refund-moved", "refund-within-charge"] },
  { change: refund(5, 41), found: ["refund-moved", "refund-of-usage"], since: ["refund-moved"] },
  {
    change:
      "insert into outbox (event_id, subject, payload, created_at) values ('x', 'x', 'x', now() - interval '6 seconds')",
    found: ["I10"],
  },
];

describe("the auditor", () => {
  test("given books that hold, when they are audited in whole or in part, then nothing is broken", async () => {
    expect(broken(await audit("full"))).toEqual([]);
    expect(broken(await audit("incremental", new Date(0)))).toEqual([]);
    expect(broken(await audit("incremental", new Date(Date.now() + 60_000)))).toEqual([]);
  });

  test.each(tampering)("given `$change` behind the triggers' backs, then exactly $found are broken", async (row) => {
    const { change, found, since = found } = row;
    await admin.query("begin; set local session_replication_role = replica");
    try {
      await admin.query(change);
      expect(await brokenNow("full")).toEqual(found.toSorted());
      expect(await brokenNow("incremental")).toEqual(since.filter((id) => runsIn(id, "incremental")).toSorted());
    } finally {
      await admin.query("rollback");
    }
  });

  test("given the list of what must hold, then each has a tampering that it alone or with others finds", () => {
    const known = new Set(tampering.flatMap(({ found }) => found));
    expect(auditChecks.map(({ id }) => id).filter((id) => !known.has(id))).toEqual([]);
  });
});
