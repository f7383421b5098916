import { uuidToId } from "@codex/kernel";
import type pg from "pg";

/** What billing has in its tables, read as superuser after everything is quiet. Only tables and views that are interfaces. */

export interface UsageRow {
  readonly requestId: string;
  readonly accountId: string;
  readonly model: string;
  readonly status: string;
  readonly hold: bigint;
  readonly cost: bigint;
  readonly charged: bigint;
  readonly estimated: boolean;
  /** Answer and reasoning. */
  readonly outputTokens: number;
}

export interface Books {
  readonly usage: readonly UsageRow[];
  /** Paid and bonus together, by account. */
  readonly balances: ReadonlyMap<string, bigint>;
  /** Given back by rule, by request. */
  readonly refunds: ReadonlyMap<string, bigint>;
  readonly entrySum: bigint;
  readonly writtenOff: bigint;
  readonly inserted: number;
  readonly duplicates: number;
  /** Names of broken invariants, with the first rows that break them. */
  readonly broken: readonly string[];
}

/** Each answers what breaks it. `held` and leases are asked by quiet.ts, which waits for them. */
const invariants: Readonly<Record<string, string>> = {
  "the sum of all balances is zero": `
    select total from (select (select coalesce(sum(paid + bonus), 0) from balance)
      + (select coalesce(sum(posted), 0) from operator_balance) as total) t where total <> 0`,
  "a balance is the sum and the number of its entries": `
    select a.id, p.posted, p.version, e.amount, e.entries from ledger_account a
    join (select paid_account_id as id, paid as posted, paid_version as version from balance
      union all select bonus_account_id, bonus, bonus_version from balance
      union all select ledger_account_id, posted, version from operator_balance) p on p.id = a.id
    left join (select ledger_account_id as id, sum(amount) as amount, count(*) as entries from entry group by 1) e on e.id = a.id
    where p.posted <> coalesce(e.amount, 0) or p.version <> coalesce(e.entries, 0)`,
  "entries form a chain": `
    select ledger_account_id, version from (select ledger_account_id, version, balance_after, amount,
        lag(balance_after, 1, 0::bigint) over w as before, lag(version, 1, 0::bigint) over w as version_before
      from entry window w as (partition by ledger_account_id order by version)) c
    where balance_after <> before + amount or version <> version_before + 1`,
  "every batch balances": `select batch_id, sum(amount) from entry where batch_id is not null group by 1 having sum(amount) <> 0`,
  "a lease settled what its requests were charged": `
    select l.id, l.settled, u.charged from lease l
    left join (select lease_id, account_id, sum(charged) as charged from usage_line group by 1, 2) u
      on u.lease_id = l.id and u.account_id = l.account_id
    where l.settled <> coalesce(u.charged, 0)`,
  "the worker counted on a lease what billing did": `
    select id, settled, worker_settled from lease where state = 'closed' and worker_settled is distinct from settled`,
  "what an account was charged left its balance": `
    select u.account_id, u.charged, t.moved
    from (select account_id, sum(charged) as charged from usage_line group by 1) u
    left join (select a.account_id, sum(t.amount) as moved from transfer t
        join ledger_account a on a.id = t.debit_account_id where t.kind = 'usage' group by 1) t using (account_id)
    where u.charged <> coalesce(t.moved, 0)`,
  "nobody is below zero or has more held than owned": `
    select account_id from balance where paid < 0 or bonus < 0 or reserved < 0 or paid + bonus - reserved < 0`,
  "no charge is above its hold or below zero": `
    select request_id from usage_line where charged < 0 or charged > cost or cost > hold`,
  "nothing is in quarantine": `select reason, error from quarantine`,
  "the watermark covers everything": `
    select c.epoch, c.partition, c.contiguous, u.seq from (select epoch, partition, max(seq) as seq from usage_line group by 1, 2) u
    left join gateway_cursor c using (epoch, partition) where coalesce(c.contiguous, 0) < u.seq`,
  "no charge differs from the price book": `
    select request_id from usage_line where charge_mismatch and status <> 'abandoned'`,
};

export async function readBooks(admin: pg.Pool): Promise<Books> {
  const usage = await admin.query<Record<string, string> & { readonly estimated: boolean }>(
    `select request_id, account_id, model, status, hold, cost, charged, estimated,
       coalesce(tokens_output, 0) + coalesce(tokens_reasoning, 0) as output from usage_line`,
  );
  const refunds = await admin.query<Record<string, string>>(
    "select request_id, sum(paid_amount + bonus_amount) as amount from usage_refund group by 1",
  );
  const balances = await admin.query<Record<string, string>>("select account_id, paid + bonus as owned from balance");
  return {
    usage: usage.rows.map((row) => ({
      requestId: uuidToId("req", row["request_id"] ?? ""),
      accountId: uuidToId("acc", row["account_id"] ?? ""),
      model: row["model"] ?? "",
      status: row["status"] ?? "",
      hold: BigInt(row["hold"] ?? 0),
      cost: BigInt(row["cost"] ?? 0),
      charged: BigInt(row["charged"] ?? 0),
      estimated: row.estimated,
      outputTokens: Number(row["output"] ?? 0),
    })),
    refunds: new Map(refunds.rows.map((row) => [uuidToId("req", row["request_id"] ?? ""), BigInt(row["amount"] ?? 0)])),
    balances: new Map(
      balances.rows.map((row) => [uuidToId("acc", row["account_id"] ?? ""), BigInt(row["owned"] ?? 0)]),
    ),
    entrySum: await number(admin, "select coalesce(sum(amount), 0) as n from entry"),
    writtenOff: await number(admin, "select coalesce(sum(amount), 0) as n from transfer where kind = 'write_off'"),
    inserted: Number(await number(admin, "select coalesce(sum(inserted), 0) as n from ingest_batch")),
    duplicates: Number(await number(admin, "select coalesce(sum(duplicates), 0) as n from ingest_batch")),
    broken: await brokenInvariants(admin),
  };
}

async function brokenInvariants(admin: pg.Pool): Promise<string[]> {
  const broken: string[] = [];
  for (const [name, text] of Object.entries(invariants)) {
    // eslint-disable-next-line security/parameterised-sql -- the invariants are of our own list.
    const { rows } = await admin.query(`with found as (${text}) select * from found limit 3`);
    if (rows.length > 0) broken.push(`${name}: ${JSON.stringify(rows)}`);
  }
  return broken;
}

async function number(admin: pg.Pool, text: string): Promise<bigint> {
  const { rows } = await admin.query<{ n: string }>(text);
  return BigInt(rows[0]?.n ?? 0);
}
