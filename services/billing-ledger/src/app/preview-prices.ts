import { priceUsage, type ModelPrice, type PriceBook, type PricedUsage } from "@codex/contracts";
import type { AccountId, Clock, MicroTokens } from "@codex/kernel";
import { usedNothing } from "../domain/charge-check.ts";
import { priceListProblems } from "../domain/price-list.ts";

/** A request as it was booked. */
export interface BookedUsage {
  readonly accountId: AccountId;
  readonly model: string;
  readonly usage: PricedUsage;
  readonly hold: MicroTokens;
  readonly charged: MicroTokens;
}

export interface UsageScan {
  /**
   * Hands over every request that started in [from, to), in any order, in pages of a bounded size, until there are no more
   * (true) or `onPage` answers false or the signal aborts (false). Reads one state of the ledger.
   */
  scan(
    range: { readonly from: Date; readonly to: Date },
    onPage: (page: readonly BookedUsage[]) => boolean,
    signal: AbortSignal,
  ): Promise<boolean>;
}

export interface PricePreviewModel {
  readonly model: string;
  readonly requests: number;
  readonly charged: MicroTokens;
  /** Null: the list has no price for it. */
  readonly newCharged: MicroTokens | null;
  readonly overHold: number;
  readonly accountsAffected: number;
}

export interface PricePreview {
  readonly from: Date;
  readonly to: Date;
  /** The largest difference first, then models without a price. */
  readonly models: readonly PricePreviewModel[];
  readonly accountsAffected: number;
  readonly complete: boolean;
}

export interface PreviewAsk {
  readonly models: PriceBook["models"];
  readonly groups: PriceBook["groups"];
  /** Both or neither; yesterday in UTC when absent. */
  readonly range: { readonly from: Date; readonly to: Date } | undefined;
}

export type PreviewOutcome =
  { readonly ok: true; readonly preview: PricePreview } | { readonly ok: false; readonly problems: readonly string[] };

const dayMs = 86_400_000;
const rangeMsMax = 31 * dayMs;
/** After this the answer says that it covers a part: an operator waits for it, and a connection is held. */
const previewMsMax = 20_000;

interface Tally {
  readonly price: ModelPrice | undefined;
  requests: number;
  charged: MicroTokens;
  newCharged: MicroTokens;
  overHold: number;
  readonly affected: Set<AccountId>;
}

/**
 * What a list would have made of past usage, request by request with the contract's own arithmetic, because each request is
 * rounded by itself. Writes nothing. Memory is bounded by the accounts that are affected.
 */
export async function previewPrices(
  deps: { readonly usage: UsageScan; readonly clock: Clock },
  ask: PreviewAsk,
  signal: AbortSignal,
): Promise<PreviewOutcome> {
  const range = ask.range ?? yesterday(deps.clock.now());
  const problems = [...priceListProblems(ask.models, ask.groups), ...rangeProblems(range)];
  if (problems.length > 0) return { ok: false, problems };
  const prices = new Map(ask.models.map((price) => [price.model, price]));
  const tallies = new Map<string, Tally>();
  const untilMs = deps.clock.monotonicMs() + previewMsMax;
  const complete = await deps.usage.scan(
    range,
    (page) => {
      for (const line of page) count(tallyOf(tallies, prices, line.model), line, ask.groups);
      return deps.clock.monotonicMs() < untilMs;
    },
    signal,
  );
  const affected = new Set<AccountId>();
  for (const tally of tallies.values()) for (const accountId of tally.affected) affected.add(accountId);
  const models = [...tallies].map(([model, tally]) => toModel(model, tally)).sort(byDifference);
  return { ok: true, preview: { ...range, models, accountsAffected: affected.size, complete } };
}

function tallyOf(tallies: Map<string, Tally>, prices: ReadonlyMap<string, ModelPrice>, model: string): Tally {
  const known = tallies.get(model);
  if (known) return known;
  const made: Tally = {
    price: prices.get(model),
    requests: 0,
    charged: 0n,
    newCharged: 0n,
    overHold: 0,
    affected: new Set(),
  };
  tallies.set(model, made);
  return made;
}

function count(tally: Tally, line: BookedUsage, groups: PriceBook["groups"]): void {
  tally.requests += 1;
  tally.charged += line.charged;
  if (!tally.price) return;
  // A request that never reached an upstream was free, and stays free.
  const free = line.charged === 0n && usedNothing(line.usage);
  const cost = free ? 0n : priceUsage(tally.price, line.usage, groups);
  tally.newCharged += cost;
  if (cost > line.hold) tally.overHold += 1;
  if (cost !== line.charged) tally.affected.add(line.accountId);
}

function toModel(model: string, tally: Tally): PricePreviewModel {
  const { price, requests, charged, newCharged, overHold, affected } = tally;
  return {
    model,
    requests,
    charged,
    newCharged: price ? newCharged : null,
    overHold,
    accountsAffected: affected.size,
  };
}

function byDifference(a: PricePreviewModel, b: PricePreviewModel): number {
  const [one, other] = [distance(a), distance(b)];
  if (one === other) return a.model < b.model ? -1 : 1;
  return one > other ? -1 : 1;
}

function distance({ charged, newCharged }: PricePreviewModel): bigint {
  if (newCharged === null) return -1n;
  return newCharged > charged ? newCharged - charged : charged - newCharged;
}

function yesterday(now: Date): { from: Date; to: Date } {
  const todayMs = Math.floor(now.getTime() / dayMs) * dayMs;
  return { from: new Date(todayMs - dayMs), to: new Date(todayMs) };
}

function rangeProblems({ from, to }: { from: Date; to: Date }): string[] {
  if (to <= from) return ["to: must be after from"];
  return to.getTime() - from.getTime() > rangeMsMax ? ["to: at most 31 days after from"] : [];
}
