import type { LeaseCloseRecord, UsageRecord } from "@codex/contracts";
import type { Db } from "@codex/db";
import { newId, type AccountId, type LeaseId } from "@codex/kernel";
import type { BatchOutcome, BookableRecord } from "../src/app/ports.ts";
import type { Tables } from "../src/store/schema.ts";
import { openWriterSession } from "../src/store/writer-session.ts";

/** Books records by the way of the service's writer, without a bus. Each batch is one transaction, in partition 3. */
export async function book(
  db: Db<Tables>,
  epoch: number,
  records: readonly (UsageRecord | LeaseCloseRecord)[],
): Promise<BatchOutcome> {
  const writer = await openWriterSession(db);
  try {
    const bookable = records.map((record): BookableRecord => ({
      spooled: { epoch, partition: 3, record, payloadHash: BigInt(record.seq), raw: "{}", streamSeq: 1 },
      cost: record.type === "usage" ? record.costMicroTokens : 0n,
      hold: record.type === "usage" ? record.holdMicroTokens : 0n,
      chargeMismatch: false,
    }));
    return await writer.applyBatch({
      positions: [{ partition: 3, term: null, floor: null }],
      records: bookable,
      aside: [],
      firstStreamSeq: 1,
      lastStreamSeq: 1,
    });
  } finally {
    await writer.close();
  }
}

/** A request that cost its whole hold. */
export function usageOf(seq: number, accountId: AccountId, leaseId: LeaseId, cost: bigint): UsageRecord {
  return {
    type: "usage",
    seq,
    requestId: newId("req"),
    accountId,
    keyId: newId("key"),
    leaseId,
    route: "/v1/chat/completions",
    model: "m",
    channel: "c",
    status: "ok",
    httpStatus: 200,
    errorCode: null,
    streamed: false,
    tokens: { input: 1, cachedInput: 0, cacheWrite: 0, cacheWrite1h: 0, output: 1, reasoning: 0 },
    images: null,
    audioMs: 0,
    priceGroup: "default",
    estimated: false,
    priceVersion: newId("prc"),
    holdMicroTokens: cost,
    costMicroTokens: cost,
    startedAt: "2026-11-25T10:00:00.000Z",
    firstByteMs: null,
    durationMs: 5,
  };
}
