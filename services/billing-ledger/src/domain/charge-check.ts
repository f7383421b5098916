import {
  priceUsage,
  termsOf,
  tokenClasses,
  type ModelPrice,
  type PricedUsage,
  type PriceGroup,
} from "@codex/contracts";
import { maxBigint, minBigint, type MicroTokens } from "@codex/kernel";

export interface ReportedCharge {
  readonly usage: PricedUsage;
  readonly hold: MicroTokens;
  readonly cost: MicroTokens;
}

export interface CheckedCharge {
  /** What the ledger books: the reported cost within [0, hold]. */
  readonly cost: MicroTokens;
  readonly hold: MicroTokens;
  /**
   * The report is not min(price × usage, hold), or it names a group that the book does not know, which pays as `default`.
   * Booked all the same, flagged and metered: the gateway's rule may be at fault.
   */
  readonly mismatch: boolean;
}

/**
 * Computes the charge again from the record's own counts and compares. A request that used nothing and cost nothing agrees
 * also where the price has a part per request: it never reached an upstream.
 */
export function checkCharge(price: ModelPrice, groups: readonly PriceGroup[], reported: ReportedCharge): CheckedCharge {
  const { usage } = reported;
  const hold = maxBigint(0n, reported.hold);
  const cost = maxBigint(0n, minBigint(reported.cost, hold));
  const expected = minBigint(priceUsage(price, usage, groups), hold);
  const wrong = reported.cost !== expected && !(reported.cost === 0n && usedNothing(usage));
  return { cost, hold, mismatch: reported.hold < 0n || wrong || !termsOf(price, usage, groups).groupKnown };
}

/** Such a request never reached an upstream. */
export function usedNothing({ tokens, images, audioMs }: PricedUsage): boolean {
  return tokenClasses.every((name) => tokens[name] === 0) && (images?.count ?? 0) === 0 && audioMs === 0;
}
