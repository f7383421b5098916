import {
  termsOf,
  tokenClasses,
  type AppliedTerms,
  type ModelPrice,
  type PricedUsage,
  type PriceGroup,
} from "@codex/contracts";
import { divideHalfEven, type MicroTokens } from "@codex/kernel";

export interface ReceiptLine {
  /** A token class, `image`, `audio` or `request`. */
  readonly class: string;
  /** Model tokens; pictures; milliseconds of sound; requests. */
  readonly quantity: number;
  /** Micro-tokens per million model tokens; per picture; per second of sound; per request. */
  readonly rate: MicroTokens;
  /** Before multipliers and rounding, in tokens of balance, always twelve fraction digits: 10⁻⁶ token × 10⁻⁶ of a million. */
  readonly exact: string;
}

export interface ReceiptSum {
  readonly lines: readonly ReceiptLine[];
  readonly terms: Pick<AppliedTerms, "aboveInputTokens" | "offPeakPpm" | "groupPpm">;
  /** Sum of the lines after both multipliers, unrounded, in tokens of balance, always 24 fraction digits. */
  readonly exact: string;
  /** `exact`, rounded. */
  readonly sum: MicroTokens;
}

const million = 1_000_000n;
const lineDigits = 12;
/** Each multiplier has six digits more. */
const sumDigits = 24;

/**
 * The arithmetic of a charge, line by line, from which anyone can add it up again: the exact lines, their sum times the
 * multipliers, rounded once. A class without use has no line, a price without a request part has no `request` line.
 */
export function receiptOf(price: ModelPrice, usage: PricedUsage, groups: readonly PriceGroup[]): ReceiptSum {
  const terms = termsOf(price, usage, groups);
  const { aboveInputTokens, offPeakPpm, groupPpm, rates, imageRate } = terms;
  const lines: ReceiptLine[] = [];
  let millionths = 0n;
  const add = (name: string, quantity: number, rate: MicroTokens, millionthsOfOne: bigint): void => {
    if (quantity === 0) return;
    const cost = BigInt(quantity) * rate * millionthsOfOne;
    millionths += cost;
    lines.push({ class: name, quantity, rate, exact: decimal(cost, lineDigits) });
  };
  for (const name of tokenClasses) add(name, usage.tokens[name], rates[name], 1n);
  // A picture or a sound that costs nothing on top is paid by its tokens, and needs no line.
  if (imageRate !== 0n) add("image", usage.images?.count ?? 0, imageRate, million);
  if (price.perAudioSecond !== 0n) add("audio", usage.audioMs, price.perAudioSecond, 1_000n);
  if (price.perRequest !== 0n) add("request", 1, price.perRequest, million);
  const exact = millionths * BigInt(offPeakPpm) * BigInt(groupPpm);
  return {
    lines,
    terms: { aboveInputTokens, offPeakPpm, groupPpm },
    exact: decimal(exact, sumDigits),
    sum: divideHalfEven(exact, million ** 3n),
  };
}

/** An integer of 10^-digits tokens as a decimal of tokens. Input is not negative. */
function decimal(value: bigint, fractionDigits: number): string {
  const digits = value.toString().padStart(fractionDigits + 1, "0");
  return `${digits.slice(0, -fractionDigits)}.${digits.slice(-fractionDigits)}`;
}
