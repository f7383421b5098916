import { priceUsage, type ModelPrice, type PriceGroup, type TokenCounts } from "@codex/contracts";
import { maxBigint, minBigint, type MicroTokens } from "@codex/kernel";
import { estimateTokens, noTokens } from "./usage.ts";

/**
 * The published rule of what a request costs, however it ended, and whatever the upstream says (docs/money-rules.md,
 * SEC-103, SEC-105). This file is the whole of it; usage.ts beside it reads the upstream's numbers.
 *
 *   never accepted by the upstream            0
 *   usage reported                            price × usage, whatever the client did; an explicit 0 is 0
 *   no usage, some answer delivered           price × (input estimate + delivered output)
 *   accepted, nothing delivered, client left  price × input estimate
 *   accepted, nothing delivered, upstream cut 0: the customer got nothing and did nothing
 *
 * always within 0 … hold. What is reported and far from what we saw is charged as reported (within the hold) and counted as
 * a doubt. An answer that no bound stops is ended when its cost so far reaches the hold.
 */
export type Ending = "finished" | "client_closed" | "upstream_cut";

export interface Pictures {
  readonly count: number;
  readonly variant: string;
}

export interface Outcome {
  /** The upstream answered with a success status. */
  readonly accepted: boolean;
  readonly ending: Ending;
  readonly usage: TokenCounts | undefined;
  /** Prompt tokens that were told before the answer was whole; they replace the estimate of the input. */
  readonly prompt?: TokenCounts | undefined;
  /** Pictures made; null for anything else. */
  readonly images?: Pictures | null;
  /** Sound heard or made, where it is priced by its length. */
  readonly audioMs?: number;
  /** An answer without text, pictures or sound of ours to count was passed on: vectors, scores. */
  readonly answered?: boolean;
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
  readonly images: Pictures | null;
  readonly audioMs: number;
  readonly estimated: boolean;
  readonly cost: MicroTokens;
}

const free: Charge = { tokens: noTokens, images: null, audioMs: 0, estimated: false, cost: 0n };

export function chargeFor(outcome: Outcome, tariff: Tariff, hold: MicroTokens): Charge {
  if (!outcome.accepted) return free;
  if (outcome.usage) return charged(outcome.usage, false, outcome, tariff, hold);
  if (nothingDelivered(outcome) && outcome.ending !== "client_closed") return free;
  const tokens: TokenCounts = {
    ...(outcome.prompt ?? { ...noTokens, input: estimateTokens(outcome.inputBytes) }),
    output: estimateTokens(outcome.deliveredBytes),
  };
  return charged(tokens, true, outcome, tariff, hold);
}

function nothingDelivered({ deliveredBytes, images, audioMs, answered }: Outcome): boolean {
  return deliveredBytes === 0 && (images?.count ?? 0) === 0 && (audioMs ?? 0) === 0 && answered !== true;
}

function charged(tokens: TokenCounts, estimated: boolean, outcome: Outcome, tariff: Tariff, hold: MicroTokens): Charge {
  const images = outcome.images ?? null;
  const audioMs = outcome.audioMs ?? 0;
  const cost = minBigint(maxBigint(priceOf(tokens, images, audioMs, tariff), 0n), hold);
  return { tokens, images, audioMs, estimated, cost };
}

function priceOf(tokens: TokenCounts, images: Pictures | null, audioMs: number, tariff: Tariff): MicroTokens {
  const { price, groups, priceGroup, startedAt } = tariff;
  return priceUsage(price, { tokens, images, audioMs, startedAt, priceGroup }, groups);
}

/** Why the numbers of a finished answer deserve a look. Money is not moved by it. */
export type UsageDoubt = "missing" | "far_off" | "above_hold";

/** Answers shorter than this say nothing about a count: one token more or less is a large part of them. */
const telling = 64;

/** What is doubtful about an accepted, finished answer; undefined when nothing is. `cost` is what was charged, where it is known. */
export function doubtOf(
  outcome: Outcome,
  tariff: Tariff,
  hold: MicroTokens,
  cost: MicroTokens = chargeFor(outcome, tariff, hold).cost,
): UsageDoubt | undefined {
  const { accepted, ending, usage, deliveredBytes, images = null, audioMs = 0 } = outcome;
  if (!accepted || ending !== "finished") return undefined;
  if (!usage) return images !== null || audioMs > 0 ? undefined : "missing";
  // Only a charge that the hold has cut can have been more.
  if (cost === hold && priceOf(usage, images, audioMs, tariff) > hold) return "above_hold";
  // The tokens of a picture or of sound are not in any text.
  if (images !== null || audioMs > 0) return undefined;
  const seen = estimateTokens(deliveredBytes);
  // Reasoning may be counted and not delivered: only the rest of the answer can be compared. More than 20 % off:
  const off = Math.abs(usage.output - seen);
  return Math.max(usage.output, seen) >= telling && off * 5 > seen ? "far_off" : undefined;
}

/** Bytes between two looks at the cost so far, at least: sixteen tokens. */
const lookBytesMin = 64;

/**
 * After how many delivered bytes the cost so far must be looked at again; undefined = it has reached the hold, and the
 * answer ends here. Looks come closer together as the hold comes near, so that there are few of them and none is late by
 * more than {@link lookBytesMin}.
 */
export function nextLookBytes(outcome: Outcome, tariff: Tariff, hold: MicroTokens): number | undefined {
  const { deliveredBytes } = outcome;
  const { cost } = chargeFor({ ...outcome, usage: undefined, ending: "client_closed" }, tariff, hold);
  if (cost >= hold && hold > 0n) return undefined;
  if (cost === 0n) return deliveredBytes + 65_536;
  // Input and begun tokens make a byte look dearer than it is: the look comes early, never late.
  const left = Number(((hold - cost) * BigInt(deliveredBytes)) / cost);
  return deliveredBytes + Math.max(lookBytesMin, Math.min(left, 1_048_576));
}
