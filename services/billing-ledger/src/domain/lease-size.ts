import { maxBigint, minBigint, type MicroTokens } from "@codex/kernel";

export interface LeaseAsk {
  /** The hold of the request that asks, in micro-tokens; a smaller grant would be useless. */
  readonly minimum: MicroTokens;
  /** What the worker expects to spend in a lease interval; at least `minimum`. */
  readonly want: MicroTokens;
  readonly available: MicroTokens;
  /** Workers that hold a lease of this account, the asking one included; at least 1. */
  readonly holders: bigint;
}

/**
 * How much a worker gets: what it wants, but at most its share of half of what is available, so that some is left for the
 * others; never below the request's own hold. A poor account thereby gets exactly one request's hold at a time. Undefined =
 * refuse. `grant_lease` does the same in SQL under the row lock; a test holds both equal.
 */
export function sizeLease(ask: LeaseAsk): MicroTokens | undefined {
  if (ask.available < ask.minimum) return undefined;
  return maxBigint(ask.minimum, minBigint(ask.want, ask.available / (2n * ask.holders)));
}

export type AskProblem = "minimum_negative" | "want_below_minimum";

/** What is wrong with an ask before any money is looked at; undefined when nothing is. */
export function askProblem(ask: { readonly minimum: MicroTokens; readonly want: MicroTokens }): AskProblem | undefined {
  if (ask.minimum < 0n) return "minimum_negative";
  return ask.want < ask.minimum ? "want_below_minimum" : undefined;
}
