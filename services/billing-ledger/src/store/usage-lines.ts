import { idToUuid, type AccountId, type RequestId } from "@codex/kernel";
import { sql, type RawBuilder } from "kysely";
import type { UsageRow } from "./mapping.ts";

/** Lines of one account, newest first, in the place of a table. A request id is a UUIDv7: a range of ids is a range of time. */
export interface LineRange {
  /** The lowest id; default: the first there is. */
  readonly from?: string;
  /** Above the highest id; default: the newest there is. */
  readonly before?: string;
  /** Those that this batch has booked; default: all. Every line of the range is looked at for it. */
  readonly batchId?: bigint;
  readonly limit: number;
}

/** How long before its booking a request may have started and still be looked for: a request plus a long outage of the bus. */
export const bookedLateMsMax = 48 * 3_600_000;
/** And how far after it, by the clock of a gateway that is fast. */
export const clockAheadMsMax = 24 * 3_600_000;

const lowestUuid = "00000000-0000-0000-0000-000000000000";
const highestUuid = "ffffffff-ffff-ffff-ffff-ffffffffffff";

export function usageLines(accountId: AccountId, { from, before, batchId, limit }: LineRange): RawBuilder<UsageRow> {
  return sql<UsageRow>`usage_lines(${idToUuid(accountId)}::uuid, ${from ?? lowestUuid}::uuid, ${before ?? highestUuid}::uuid,
    ${batchId ?? null}::bigint, ${limit}::integer)`;
}

/** The line of one request, or none. */
export function usageLineOf(accountId: AccountId, requestId: RequestId): RawBuilder<UsageRow> {
  const from = idToUuid(requestId);
  return usageLines(accountId, { from, before: uuidAfter(from), limit: 1 });
}

/** The next uuid; the highest has none, and stands for itself. */
function uuidAfter(uuid: string): string {
  if (uuid === highestUuid) return uuid;
  const hex = (BigInt(`0x${uuid.replaceAll("-", "")}`) + 1n).toString(16).padStart(32, "0");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** The lower of two bounds. Uuids in lower case are ordered as their texts are. */
export function lowerUuid(one: string, other: string | undefined): string {
  return other === undefined || one < other ? one : other;
}
