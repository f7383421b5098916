import type { Db } from "@codex/db";
import type { Transaction } from "kysely";
import type { BatchOutcome, UsageBatch } from "../app/ports.ts";
import { NotBooked, type QuarantineStore } from "../app/replay-quarantine.ts";
import { toCount } from "./mapping.ts";
import type { Tables } from "./schema.ts";

export function createQuarantineStore(db: Db<Tables>): QuarantineStore {
  return {
    async unresolved(which, after, limit) {
      let query = db.kysely
        .selectFrom("quarantine")
        .select(["id", "epoch", "partition", "payload_hash", "reason", "raw", "stream_seq"])
        .where("resolved_at", "is", null)
        .where("id", ">", after)
        .orderBy("id")
        .limit(limit);
      if ("ids" in which) query = query.where("id", "in", [...which.ids]);
      else query = query.where("reason", "=", which.reason);
      const rows = await query.execute();
      return rows.map((row) => ({
        id: row.id,
        epoch: row.epoch === null ? null : toCount(row.epoch),
        partition: row.partition,
        payloadHash: row.payload_hash,
        reason: row.reason,
        raw: row.raw,
        streamSeq: toCount(row.stream_seq),
      }));
    },
  };
}

/**
 * Within the transaction of a batch that replays a quarantined record: marks the record dealt with, then applies. The mark
 * comes first, because the ledger passes over what is in quarantine; a second replay waits for its row and finds it marked.
 * Throws NotBooked, and so undoes everything, when the record was dealt with before or the ledger would not take it.
 */
export async function resolving(
  trx: Transaction<Tables>,
  batch: UsageBatch,
  apply: () => Promise<BatchOutcome>,
): Promise<BatchOutcome> {
  if (batch.resolving === undefined) return apply();
  const marked = await trx
    .updateTable("quarantine")
    .set({ resolved_at: new Date() })
    .where("id", "=", batch.resolving)
    .where("resolved_at", "is", null)
    .executeTakeFirst();
  if (marked.numUpdatedRows !== 1n) throw new NotBooked("it was dealt with before");
  const outcome = await apply();
  if (outcome.inserted !== 1) {
    const [aside] = outcome.aside;
    throw new NotBooked(aside ? aside.error : "its number is booked already, or has another record in quarantine");
  }
  return outcome;
}
