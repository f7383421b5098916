import type { UsageLine } from "@codex/contracts";
import { idToUuid, invariant, uuidToId } from "@codex/kernel";
import type { Selectable } from "kysely";
import type { AsideRecord, BookableRecord } from "../app/ports.ts";
import type { UsageEventTable } from "./schema.ts";

/** int8 of a count (numbers of things, milliseconds, versions). Never for amounts, which stay bigint. */
export function toCount(value: bigint): number {
  const count = Number.parseInt(value.toString(), 10);
  invariant(Number.isSafeInteger(count), "a count is a safe integer");
  return count;
}

/** One JSON row of `apply_batch`, named like the columns of usage_event; int8 as text, so that no digit is lost. */
export function toDbUsageEvent(bookable: BookableRecord): Record<string, unknown> {
  const { spooled, cost, hold, chargeMismatch } = bookable;
  const { record } = spooled;
  const base = {
    epoch: spooled.epoch,
    seq: record.seq,
    payload_hash: spooled.payloadHash.toString(),
    account_id: idToUuid(record.accountId),
    lease_id: idToUuid(record.leaseId),
  };
  if (record.type === "lease_close") return { ...base, lease_settled: record.settledMicroTokens.toString() };
  return {
    ...base,
    request_id: idToUuid(record.requestId),
    key_id: idToUuid(record.keyId),
    price_version: idToUuid(record.priceVersion),
    started_at: record.startedAt,
    duration_ms: record.durationMs,
    first_byte_ms: record.firstByteMs,
    tokens_input: record.tokens.input,
    tokens_cached_input: record.tokens.cachedInput,
    tokens_cache_write: record.tokens.cacheWrite,
    tokens_output: record.tokens.output,
    tokens_reasoning: record.tokens.reasoning,
    hold: hold.toString(),
    cost: cost.toString(),
    route: record.route,
    model: record.model,
    channel: record.channel,
    status: record.status,
    error_code: record.errorCode,
    http_status: record.httpStatus,
    streamed: record.streamed,
    estimated: record.estimated,
    charge_mismatch: chargeMismatch,
  };
}

export function toDbQuarantine(aside: AsideRecord): Record<string, unknown> {
  return {
    epoch: aside.epoch,
    seq: aside.seq,
    payload_hash: aside.payloadHash.toString(),
    reason: aside.reason,
    error: aside.error,
    raw: aside.raw,
    stream_seq: aside.streamSeq,
  };
}

export type UsageRow = Omit<Selectable<UsageEventTable>, "request_id"> & { request_id: string };

export function fromDbUsageEvent(row: UsageRow): UsageLine {
  return {
    requestId: uuidToId("req", row.request_id),
    keyId: uuidToId("key", row.key_id),
    route: row.route,
    model: row.model,
    status: row.status,
    httpStatus: row.http_status,
    errorCode: row.error_code,
    streamed: row.streamed,
    tokens: {
      input: toCount(row.tokens_input),
      cachedInput: toCount(row.tokens_cached_input),
      cacheWrite: toCount(row.tokens_cache_write),
      cacheWrite1h: 0,
      output: toCount(row.tokens_output),
      reasoning: toCount(row.tokens_reasoning),
    },
    images: null,
    audioMs: 0,
    estimated: row.estimated,
    charged: row.charged,
    // Filled in by withRefunds: the usage row itself never changes.
    refunded: 0n,
    startedAt: row.started_at.toISOString(),
    firstByteMs: row.first_byte_ms === null ? null : toCount(row.first_byte_ms),
    durationMs: toCount(row.duration_ms),
  };
}
