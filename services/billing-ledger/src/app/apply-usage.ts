import type { ModelPrice, PriceBook } from "@codex/contracts";
import { checkCharge } from "../domain/charge-check.ts";
import {
  RejectedBatch,
  type AsideRecord,
  type BatchPosition,
  type BookableRecord,
  type LedgerEvents,
  type PriceStore,
  type SpooledRecord,
  type UsageBatch,
  type UsageWriter,
} from "./ports.ts";

/** What the bus read, of one partition or of several. */
export interface ReceivedUsage {
  readonly records: readonly SpooledRecord[];
  /** What could not be read as a record of its partition. */
  readonly aside: readonly AsideRecord[];
  readonly firstStreamSeq: number;
  readonly lastStreamSeq: number;
  readonly positions: readonly BatchPosition[];
}

export interface ApplyUsageDeps {
  readonly prices: Pick<PriceStore, "byVersion">;
  readonly events: LedgerEvents;
}

/** Records of one transaction: above this the locks are held too long for the gain (docs/adr/0003). */
export const batchRecordsMax = 2_000;

/**
 * Books what was received: checks each charge, keeps aside what has no price, applies the rest in transactions of at most
 * {@link batchRecordsMax}. When it resolves, everything is committed or in quarantine, and the messages may be acked; when it
 * throws, some of it may be committed and all of it may be repeated.
 */
export async function applyUsage(deps: ApplyUsageDeps, writer: UsageWriter, received: ReceivedUsage): Promise<void> {
  const { records, conflicts } = inSpoolOrder(received.records);
  const { bookable, unpriced } = await priceAll(deps, records);
  const aside = [...received.aside, ...conflicts, ...unpriced];
  for (let from = 0; from === 0 || from < bookable.length; from += batchRecordsMax) {
    const isLast = from + batchRecordsMax >= bookable.length;
    await applyOrBisect(deps, writer, {
      records: bookable.slice(from, from + batchRecordsMax),
      aside: from === 0 ? aside : [],
      firstStreamSeq: received.firstStreamSeq,
      lastStreamSeq: received.lastStreamSeq,
      positions: isLast ? received.positions : partOf(received.positions),
    });
  }
}

/** The places in the stream move with the last part alone. */
function partOf(positions: readonly BatchPosition[]): readonly BatchPosition[] {
  return positions.map(({ partition, term }) => ({ partition, term, floor: null }));
}

/** Sorted by epoch, partition and number, each number once: copies are dropped, another payload under the same number is set aside. */
function inSpoolOrder(received: readonly SpooledRecord[]): { records: SpooledRecord[]; conflicts: AsideRecord[] } {
  const sorted = received.toSorted(
    (a, b) => a.epoch - b.epoch || a.partition - b.partition || a.record.seq - b.record.seq,
  );
  const records: SpooledRecord[] = [];
  const conflicts: AsideRecord[] = [];
  for (const spooled of sorted) {
    const last = records.at(-1);
    if (last?.epoch !== spooled.epoch || last.partition !== spooled.partition || last.record.seq !== spooled.record.seq)
      records.push(spooled);
    // eslint-disable-next-line security/constant-time -- tells two records apart, and is no secret.
    else if (last.payloadHash !== spooled.payloadHash)
      conflicts.push(setAside(spooled, "conflict", "another payload came under this number"));
  }
  return { records, conflicts };
}

interface Prices {
  readonly models: ReadonlyMap<string, ModelPrice>;
  readonly groups: PriceBook["groups"];
}

function pricesOf(book: PriceBook | undefined): Prices {
  return { models: new Map(book?.models.map((price) => [price.model, price])), groups: book?.groups ?? [] };
}

async function priceAll(
  deps: ApplyUsageDeps,
  records: readonly SpooledRecord[],
): Promise<{ bookable: BookableRecord[]; unpriced: AsideRecord[] }> {
  const bookable: BookableRecord[] = [];
  const unpriced: AsideRecord[] = [];
  const books = new Map<string, Prices>();
  for (const spooled of records) {
    const { record } = spooled;
    if (record.type === "lease_close") {
      bookable.push({ spooled, cost: 0n, hold: 0n, chargeMismatch: false });
      continue;
    }
    let book = books.get(record.priceVersion);
    if (!book) {
      book = pricesOf(await deps.prices.byVersion(record.priceVersion));
      books.set(record.priceVersion, book);
    }
    const price = book.models.get(record.model);
    if (!price) {
      unpriced.push(setAside(spooled, "unpriced", `no price of ${record.model} in ${record.priceVersion}`));
      continue;
    }
    const checked = checkCharge(price, book.groups, {
      usage: record,
      hold: record.holdMicroTokens,
      cost: record.costMicroTokens,
    });
    bookable.push({ spooled, cost: checked.cost, hold: checked.hold, chargeMismatch: checked.mismatch });
  }
  return { bookable, unpriced };
}

/**
 * A batch whose content the database refuses is halved until one record is left, which goes into quarantine; everything
 * else is committed. At most 2·log₂(n) extra transactions for each bad record.
 */
async function applyOrBisect(deps: ApplyUsageDeps, writer: UsageWriter, batch: UsageBatch): Promise<void> {
  try {
    const outcome = await writer.applyBatch(batch);
    deps.events.batchApplied(outcome);
    for (const record of outcome.aside) deps.events.recordSetAside(record);
  } catch (error) {
    const [first, ...others] = batch.records;
    if (!(error instanceof RejectedBatch) || !first) throw error;
    if (others.length === 0) {
      const rejected = setAside(first.spooled, "rejected", error.message);
      await applyOrBisect(deps, writer, { ...batch, records: [], aside: [...batch.aside, rejected] });
      return;
    }
    const middle = Math.ceil(batch.records.length / 2);
    const part = { ...batch, positions: partOf(batch.positions) };
    await applyOrBisect(deps, writer, { ...part, records: batch.records.slice(0, middle) });
    await applyOrBisect(deps, writer, { ...batch, records: batch.records.slice(middle), aside: [] });
  }
}

const errorLengthMax = 500;

/** Keeps a record for a person to look at. The text columns of Postgres take neither NUL nor half a surrogate pair. */
export function setAside(spooled: SpooledRecord, reason: AsideRecord["reason"], error: string): AsideRecord {
  return {
    epoch: spooled.epoch,
    partition: spooled.partition,
    seq: spooled.record.seq,
    payloadHash: spooled.payloadHash,
    reason,
    error: storable(error).slice(0, errorLengthMax),
    raw: storable(spooled.raw),
    streamSeq: spooled.streamSeq,
  };
}

export function storable(text: string): string {
  return text.toWellFormed().replaceAll("\u0000", "\ufffd");
}
