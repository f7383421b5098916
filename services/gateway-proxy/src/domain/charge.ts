import { priceUsage, type ModelPrice, type PriceGroup, type TokenCounts } from "@codex/contracts";
import { maxBigint, minBigint, type MicroTokens } from "@codex/kernel";
import { estimateTokens, noTokens } from "./usage.ts";

/**
 * The published rule of what a request costs, however it ended (architecture.md §5, SEC-103, SEC-105):
 *
 *   never accepted by the upstream            0
 *   usage reported                            price × usage, whatever the client did
 *   no usage, some answer delivered           price × (input estimate + delivered output)
 *   accepted, nothing delivered, client left  price × input estimate
 *   accepted, nothing delivered, upstream cut 0: the customer got nothing and did nothing
 *
 * always within 0 … hold.
 */
export type Ending = "finished" | "client_closed" | "upstream_cut";

export interface Outcome {
  /** The upstream answered with a success status. */
  readonly accepted: boolean;
  readonly ending: Ending;
  readonly usage: TokenCounts | undefined;
  /** Bytes of the request's text, for the estimate. */
  readonly inputBytes: number;
  /** Bytes of answer text that the upstream handed over and we passed on. */
  readonly deliveredBytes: number;
}

/** What decides the price besides the usage; fixed when the request is admitted. */
export interface Tariff {
  readonly price: ModelPrice;
  readonly groups: readonly PriceGroup[];
  readonly priceGroup: string;
  /** RFC 3339 in UTC: decides the off-peak window. */
  readonly startedAt: string;
}

export interface Charge {
  readonly tokens: TokenCounts;
  readonly estimated: boolean;
  readonly cost: MicroTokens;
}

const free: Charge = { tokens: noTokens, estimated: false, cost: 0n };

export function chargeFor(outcome: Outcome, tariff: Tariff, hold: MicroTokens): Charge {
  if (!outcome.accepted) return free;
  if (outcome.usage) return charged(outcome.usage, false, tariff, hold);
  if (outcome.deliveredBytes === 0 && outcome.ending !== "client_closed") return free;
  const tokens: TokenCounts = {
    ...noTokens,
    input: estimateTokens(outcome.inputBytes),
    output: estimateTokens(outcome.deliveredBytes),
  };
  return charged(tokens, true, tariff, hold);
}

function charged(tokens: TokenCounts, estimated: boolean, tariff: Tariff, hold: MicroTokens): Charge {
  const { price, groups, priceGroup, startedAt } = tariff;
  const cost = priceUsage(price, { tokens, images: null, audioMs: 0, startedAt, priceGroup }, groups);
  return { tokens, estimated, cost: minBigint(maxBigint(cost, 0n), hold) };
}
