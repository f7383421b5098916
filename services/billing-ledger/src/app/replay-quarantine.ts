import { priceUsage, spoolRecord, type SpoolRecord, type UsageRecord } from "@codex/contracts";
import { minBigint, type MicroTokens } from "@codex/kernel";
import { checkCharge } from "../domain/charge-check.ts";
import { RejectedBatch, type AsideReason, type BookableRecord, type UsageWriter } from "./ports.ts";
import type { PriceVersionStore } from "./price-ports.ts";

/** A quarantined record that nobody has dealt with yet. */
export interface QuarantinedRecord {
  readonly id: bigint;
  /** Null together with seq when the message could not be read at all. */
  readonly epoch: number | null;
  readonly partition: number;
  readonly payloadHash: bigint;
  readonly reason: string;
  readonly raw: string;
  readonly streamSeq: number;
}

export interface QuarantineStore {
  /** In the order of their ids. `limit` 1…1000. */
  unresolved(which: ReplayChoice, after: bigint, limit: number): Promise<readonly QuarantinedRecord[]>;
}

/** Ids, or everything of a reason. */
export type ReplayChoice = { readonly ids: readonly bigint[] } | { readonly reason: AsideReason };

export type Replayed =
  /** `writtenOff`: its lease was closed before, so the operator bears that part; the customer pays the rest. */
  | { readonly id: bigint; readonly outcome: "booked"; readonly charged: MicroTokens; readonly writtenOff: MicroTokens }
  /** It stays in quarantine. */
  | { readonly id: bigint; readonly outcome: "left"; readonly why: string };

/** The record is not in the ledger after all: its transaction is undone, and it stays in quarantine. */
export class NotBooked extends Error {
  override readonly name = "NotBooked";
}

type Prices = Pick<PriceVersionStore, "byVersion" | "currentVersion">;

const pageRecords = 200;

/**
 * Books what was set aside, once the reason is gone: a price was imported, an account came to its partition. Each record in a
 * transaction of its own that books it and marks it dealt with, so that it is booked exactly once, however often and from
 * however many terminals this runs. Tells `onReplayed` of each in turn.
 */
export async function replayQuarantine(
  deps: {
    readonly quarantine: QuarantineStore;
    readonly prices: Prices;
    readonly writer: UsageWriter;
    readonly onReplayed: (replayed: Replayed) => void;
  },
  which: ReplayChoice,
): Promise<void> {
  let after = -1n;
  for (;;) {
    const page = await deps.quarantine.unresolved(which, after, pageRecords);
    for (const kept of page) deps.onReplayed(await replayOne(deps, kept));
    const last = page.at(-1);
    if (!last || page.length < pageRecords) return;
    after = last.id;
  }
}

async function replayOne(
  deps: { readonly prices: Prices; readonly writer: UsageWriter },
  kept: QuarantinedRecord,
): Promise<Replayed> {
  const left = (why: string): Replayed => ({ id: kept.id, outcome: "left", why });
  const record = readRecord(kept.raw);
  if (!record || kept.epoch === null) return left("it cannot be read as a record");
  const bookable = await priceRecord(deps.prices, kept, kept.epoch, record);
  if (!bookable) return left("neither its price version nor the one in force has a price of the model");
  try {
    const outcome = await deps.writer.applyBatch({
      positions: [{ partition: kept.partition, term: null, floor: null }],
      records: [bookable],
      aside: [],
      firstStreamSeq: kept.streamSeq,
      lastStreamSeq: kept.streamSeq,
      resolving: kept.id,
    });
    return { id: kept.id, outcome: "booked", charged: outcome.settled, writtenOff: outcome.writtenOff };
  } catch (error) {
    if (error instanceof NotBooked || error instanceof RejectedBatch) return left(error.message);
    throw error;
  }
}

function readRecord(raw: string): SpoolRecord | undefined {
  try {
    return spoolRecord.safeParse(JSON.parse(raw)).data;
  } catch {
    return undefined;
  }
}

/**
 * Versions are immutable, so what the record's own version lacks is priced by the one in force, and booked under its name: the
 * receipt must be able to show it. Then the customer pays the smaller of what the gateway said and what that price gives.
 */
async function priceRecord(
  prices: Prices,
  kept: QuarantinedRecord,
  epoch: number,
  record: SpoolRecord,
): Promise<BookableRecord | undefined> {
  const { partition, payloadHash, raw, streamSeq } = kept;
  const spooled = { epoch, partition, record, payloadHash, raw, streamSeq };
  if (record.type === "lease_close") return { spooled, cost: 0n, hold: 0n, chargeMismatch: false };
  const current = await prices.currentVersion();
  for (const version of [record.priceVersion, ...(current === undefined ? [] : [current])]) {
    const book = await prices.byVersion(version);
    const price = book?.models.find((candidate) => candidate.model === record.model);
    if (!book || !price) continue;
    const named: UsageRecord = { ...record, priceVersion: version };
    const { holdMicroTokens: hold, costMicroTokens } = record;
    const checked = checkCharge(price, book.groups, { usage: named, hold, cost: costMicroTokens });
    const cost = minBigint(checked.cost, priceUsage(price, named, book.groups));
    return { spooled: { ...spooled, record: named }, cost, hold: checked.hold, chargeMismatch: checked.mismatch };
  }
  return undefined;
}
