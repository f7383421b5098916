import type { SpooledRecord } from "./ports.ts";
import type { PriceVersionId, PriceVersionStore } from "./price-ports.ts";

export interface StalePriceDeps {
  readonly prices: Pick<PriceVersionStore, "supersededAt">;
  readonly events: { stalePriceUsed(version: PriceVersionId, requests: number): void };
  /** Clocks differ, and a book needs a moment to arrive: only what is later than this after the change is told. */
  readonly toleranceMs: number;
}

/**
 * Tells of requests that were admitted under a version long after its successor took effect: a gateway's clock is wrong, or
 * its bucket is stale. They are booked by the version they name all the same; the customer was told that price. A repeated
 * delivery may be told twice.
 */
export async function watchStalePrices(deps: StalePriceDeps, records: readonly SpooledRecord[]): Promise<void> {
  const startsOf = new Map<PriceVersionId, number[]>();
  for (const { record } of records) {
    if (record.type !== "usage") continue;
    const starts = startsOf.get(record.priceVersion) ?? [];
    starts.push(Date.parse(record.startedAt));
    startsOf.set(record.priceVersion, starts);
  }
  for (const [version, starts] of startsOf) {
    const supersededAt = await deps.prices.supersededAt(version);
    if (!supersededAt) continue;
    const stale = starts.filter((startMs) => startMs > supersededAt.getTime() + deps.toleranceMs).length;
    if (stale > 0) deps.events.stalePriceUsed(version, stale);
  }
}
