import { insertOutbox, type Db, type OutboxMessage } from "@codex/db";
import { idToUuid, uuidToId, type AccountId } from "@codex/kernel";
import { sql, type Transaction } from "kysely";
import type { AlertSettings, AlertStore, FiredAlert, Verdict, WatchedAccount } from "../app/alert-ports.ts";
import type { Threshold } from "../domain/low-balance.ts";
import type { Tables } from "./schema.ts";

/** How a fired alert becomes an outbox row; given by the bus side, which knows the envelope. */
export type EncodeBalanceLow = (alert: FiredAlert) => OutboxMessage;

interface ThresholdRow {
  account_id: string;
  threshold: bigint;
  armed: boolean;
}

export function createAlertStore(db: Db<Tables>, encode: EncodeBalanceLow): AlertStore {
  return {
    settings: (accountId) => db.transaction((trx) => readSettings(trx, accountId)),
    change: (accountId, enabled, decide) => db.transaction((trx) => changeSettings(trx, accountId, enabled, decide)),
    look: (limit, after, judge) => db.transaction((trx) => look(trx, encode, limit, after, judge)),
    history: async (accountId, limit, before) => {
      const older = before === undefined ? sql`` : sql`and id < ${idToUuid(before)}::uuid`;
      const { rows } = await sql<{ id: string; threshold: bigint; balance: bigint; fired_at: Date }>`
        select id, threshold, balance, fired_at from alert_fired
        where account_id = ${idToUuid(accountId)} ${older} order by id desc limit ${limit}`.execute(db.kysely);
      return rows.map((row) => ({
        alertId: uuidToId("evt", row.id),
        accountId,
        threshold: row.threshold,
        balance: row.balance,
        firedAt: row.fired_at,
      }));
    },
  };
}

async function readThresholds(
  trx: Transaction<Tables>,
  accountIds: readonly string[],
): Promise<Map<string, Threshold[]>> {
  const { rows } = await sql<ThresholdRow>`
    select account_id, threshold, armed from alert_threshold where account_id = any(${accountIds}::uuid[])
    order by account_id, threshold desc`.execute(trx);
  return Map.groupBy(rows, (row) => row.account_id);
}

async function readSettings(trx: Transaction<Tables>, accountId: AccountId): Promise<AlertSettings> {
  const uuid = idToUuid(accountId);
  const { rows } = await sql<{ enabled: boolean }>`
    select enabled from alert_setting where account_id = ${uuid}`.execute(trx);
  const thresholds = (await readThresholds(trx, [uuid])).get(uuid) ?? [];
  return {
    enabled: rows[0]?.enabled ?? false,
    thresholds: thresholds.map(({ threshold, armed }) => ({ threshold, armed })),
  };
}

async function changeSettings(
  trx: Transaction<Tables>,
  accountId: AccountId,
  enabled: boolean,
  decide: Parameters<AlertStore["change"]>[2],
): Promise<AlertSettings> {
  const uuid = idToUuid(accountId);
  // The upsert locks the row, against other changes and against the look.
  const { rows: before } = await sql<{ was_enabled: boolean }>`
    with known as (select enabled from alert_setting where account_id = ${uuid})
    insert into alert_setting (account_id, enabled) values (${uuid}, ${enabled})
    on conflict (account_id) do update set enabled = excluded.enabled, updated_at = now()
    returning coalesce((select enabled from known), false) as was_enabled`.execute(trx);
  const { rows: balances } = await sql<{ balance: bigint }>`
    select paid + bonus as balance from balance where account_id = ${uuid}`.execute(trx);
  // Thresholds that slept say nothing about the time in between: they begin anew.
  const isWaking = enabled && before[0]?.was_enabled !== true;
  const known = isWaking ? [] : ((await readThresholds(trx, [uuid])).get(uuid) ?? []);
  const next = decide(known, balances[0]?.balance ?? 0n);
  await sql`delete from alert_threshold where account_id = ${uuid}`.execute(trx);
  await sql`
    insert into alert_threshold (account_id, threshold, armed)
    select ${uuid}, threshold, armed from unnest(
      ${next.map(({ threshold }) => threshold)}::bigint[], ${next.map(({ armed }) => armed)}::boolean[]
    ) as given (threshold, armed)`.execute(trx);
  return readSettings(trx, accountId);
}

async function look(
  trx: Transaction<Tables>,
  encode: EncodeBalanceLow,
  limit: number,
  after: AccountId | undefined,
  judge: (accounts: readonly WatchedAccount[]) => Verdict,
): Promise<AccountId | undefined> {
  const behind = after === undefined ? sql`` : sql`and s.account_id > ${idToUuid(after)}::uuid`;
  const { rows } = await sql<{ account_id: string; balance: bigint; version: bigint }>`
    select s.account_id, b.paid + b.bonus as balance, b.version
    from alert_setting s join balance b on b.account_id = s.account_id
    where s.enabled and b.version <> s.seen_version ${behind}
    order by s.account_id limit ${limit} for update of s skip locked`.execute(trx);
  if (rows.length === 0) return undefined;
  const thresholds = await readThresholds(
    trx,
    rows.map((row) => row.account_id),
  );
  const verdict = judge(
    rows.map((row) => ({
      accountId: uuidToId("acc", row.account_id),
      balance: row.balance,
      thresholds: thresholds.get(row.account_id) ?? [],
    })),
  );
  await keepVerdict(trx, encode, verdict);
  await sql`
    update alert_setting s set seen_version = seen.version
    from unnest(${rows.map((row) => row.account_id)}::uuid[], ${rows.map((row) => row.version)}::bigint[])
      as seen (account_id, version)
    where s.account_id = seen.account_id`.execute(trx);
  const last = rows.at(-1);
  return last && rows.length === limit ? uuidToId("acc", last.account_id) : undefined;
}

async function keepVerdict(trx: Transaction<Tables>, encode: EncodeBalanceLow, verdict: Verdict): Promise<void> {
  const { fired, rearmed } = verdict;
  const changed = [
    ...fired.map((alert) => ({ ...alert, armed: false })),
    ...rearmed.map((one) => ({ ...one, armed: true })),
  ];
  if (changed.length === 0) return;
  await sql`
    update alert_threshold t set armed = given.armed
    from unnest(${changed.map((one) => idToUuid(one.accountId))}::uuid[], ${changed.map((one) => one.threshold)}::bigint[],
      ${changed.map((one) => one.armed)}::boolean[]) as given (account_id, threshold, armed)
    where t.account_id = given.account_id and t.threshold = given.threshold`.execute(trx);
  await sql`
    insert into alert_fired (account_id, id, threshold, balance, fired_at)
    select * from unnest(${fired.map((alert) => idToUuid(alert.accountId))}::uuid[],
      ${fired.map((alert) => idToUuid(alert.alertId))}::uuid[], ${fired.map((alert) => alert.threshold)}::bigint[],
      ${fired.map((alert) => alert.balance)}::bigint[], ${fired.map((alert) => alert.firedAt)}::timestamptz[])`.execute(
    trx,
  );
  await insertOutbox(trx, fired.map(encode));
}
