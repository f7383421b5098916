import { priceUsage, tokenClasses, type ModelPrice, type TokenCounts } from "@codex/contracts";
import { maxBigint, minBigint, type MicroTokens } from "@codex/kernel";

export interface ReportedCharge {
  readonly tokens: TokenCounts;
  readonly hold: MicroTokens;
  readonly cost: MicroTokens;
}

export interface CheckedCharge {
  /** What the ledger books: the reported cost within [0, hold]. */
  readonly cost: MicroTokens;
  readonly hold: MicroTokens;
  /** The report is not min(price × tokens, hold). Booked all the same, flagged and metered: the gateway's rule may be at fault. */
  readonly mismatch: boolean;
}

/**
 * Computes the charge again from the record's own counts and compares. A request that used nothing and cost nothing agrees
 * also where the price has a part per request: it never reached an upstream.
 */
export function checkCharge(price: ModelPrice, reported: ReportedCharge): CheckedCharge {
  const hold = maxBigint(0n, reported.hold);
  const cost = maxBigint(0n, minBigint(reported.cost, hold));
  const unused = reported.cost === 0n && tokenClasses.every((tokenClass) => reported.tokens[tokenClass] === 0);
  const expected = minBigint(priceUsage(price, reported.tokens), hold);
  return { cost, hold, mismatch: reported.hold < 0n || (!unused && reported.cost !== expected) };
}
