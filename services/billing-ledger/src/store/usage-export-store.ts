import type { Db } from "@codex/db";
import { idToUuid, type AccountId, type RequestId, type TransferId } from "@codex/kernel";
import { sql } from "kysely";
import type { UsageExportStore, UsagePart } from "../app/statement-ports.ts";
import { fromDbUsageEvent, type UsageRow } from "./mapping.ts";
import { withRefunded } from "./refund-store.ts";
import type { Tables } from "./schema.ts";
import { bookedLateMsMax, clockAheadMsMax, lowerUuid, usageLines } from "./usage-lines.ts";

/**
 * Usage by time and by batch, over the index (account, request id): a request id is a UUIDv7, so a range of time is a range of
 * ids. An id is made when the request starts, and its usage is booked later.
 */

/** The lowest uuid of a UUIDv7 made at this millisecond. */
export function uuidFloor(ms: number): string {
  const hex = Math.max(0, ms).toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-0000-0000-000000000000`;
}

export function createUsageExportStore(db: Db<Tables>): UsageExportStore {
  return {
    between: async (accountId, from, to, limit, before) => {
      const range = {
        from: uuidFloor(from.getTime()),
        before: lowerUuid(uuidFloor(to.getTime()), before === undefined ? undefined : idToUuid(before)),
        limit,
      };
      const { rows } = await sql<UsageRow>`select * from ${usageLines(accountId, range)}`.execute(db.kysely);
      return withRefunded(db, accountId, rows.map(fromDbUsageEvent));
    },
    ofTransfer: (accountId, transferId, limit, before) => ofTransfer(db, accountId, transferId, limit, before),
  };
}

async function ofTransfer(
  db: Db<Tables>,
  accountId: AccountId,
  transferId: TransferId,
  limit: number,
  before: RequestId | undefined,
): Promise<UsagePart | undefined> {
  const found = await sql<{ batch_id: bigint; created_at: Date }>`
    select t.batch_id, t.created_at from transfer t
    join ledger_account a on a.id = t.debit_account_id
    where t.id = ${idToUuid(transferId)} and a.account_id = ${idToUuid(accountId)} and t.kind = 'usage'`.execute(
    db.kysely,
  );
  const batch = found.rows[0];
  if (!batch) return undefined;
  const bookedMs = batch.created_at.getTime();
  const range = {
    from: uuidFloor(bookedMs - bookedLateMsMax),
    before: lowerUuid(uuidFloor(bookedMs + clockAheadMsMax), before === undefined ? undefined : idToUuid(before)),
    batchId: batch.batch_id,
    limit: limit + 1,
  };
  const { rows } = await sql<UsageRow>`select * from ${usageLines(accountId, range)}`.execute(db.kysely);
  const lines = await withRefunded(db, accountId, rows.slice(0, limit).map(fromDbUsageEvent));
  return { lines, next: rows.length > limit ? (lines.at(-1)?.requestId ?? null) : null };
}
