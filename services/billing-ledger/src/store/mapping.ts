import type { UsageLine } from "@codex/contracts";
import { invariant, uuidToId } from "@codex/kernel";
import type { Selectable } from "kysely";
import type { AsideRecord } from "../app/ports.ts";
import type { UsageLineView } from "./schema.ts";

/** int8 of a count (numbers of things, milliseconds, versions). Never for amounts, which stay bigint. */
export function toCount(value: bigint): number {
  const count = Number.parseInt(value.toString(), 10);
  invariant(Number.isSafeInteger(count), "a count is a safe integer");
  return count;
}

export function toDbQuarantine(aside: AsideRecord): Record<string, unknown> {
  return {
    epoch: aside.epoch,
    partition: aside.partition,
    seq: aside.seq,
    payload_hash: aside.payloadHash.toString(),
    reason: aside.reason,
    error: aside.error,
    raw: aside.raw,
    stream_seq: aside.streamSeq,
  };
}

export type UsageRow = Selectable<UsageLineView>;

export function imagesOf(row: Pick<UsageRow, "image_count" | "image_variant">): UsageLine["images"] {
  return row.image_count === null ? null : { count: toCount(row.image_count), variant: row.image_variant ?? "" };
}

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
      cacheWrite1h: toCount(row.tokens_cache_write_1h),
      output: toCount(row.tokens_output),
      reasoning: toCount(row.tokens_reasoning),
    },
    images: imagesOf(row),
    audioMs: toCount(row.audio_ms),
    estimated: row.estimated,
    charged: row.charged,
    // Filled in by withRefunds: the usage row itself never changes.
    refunded: 0n,
    startedAt: row.started_at.toISOString(),
    firstByteMs: row.first_byte_ms === null ? null : toCount(row.first_byte_ms),
    durationMs: toCount(row.duration_ms),
  };
}
