import { divideCeil, divideHalfEven, type MicroTokens } from "@codex/kernel/money";
import * as z from "zod";
import { count, idOf, instant, microTokens } from "./codecs.ts";
import { defineKv } from "./define.ts";

/**
 * The price contract: the gateway computes a charge with it, billing computes it again, and the receipt shows it. It lives
 * here because both sides must come to the same micro-token.
 *
 * Glossary
 *   rate         micro-tokens of balance for one million model tokens of a class
 *   input        prompt tokens that were not served from a cache
 *   cachedInput  prompt tokens read from the provider's cache; not part of `input`
 *   cacheWrite   prompt tokens written to the provider's cache; not part of `input`
 *   output       completion tokens, reasoning included unless a reasoning rate is set
 */

export const tokenClasses = ["input", "cachedInput", "cacheWrite", "output", "reasoning"] as const;
export type TokenClass = (typeof tokenClasses)[number];

/** Model tokens by class, disjoint: a token is counted in exactly one class. */
export const tokenCounts = z.strictObject({
  input: count,
  cachedInput: count,
  cacheWrite: count,
  output: count,
  reasoning: count,
});
export type TokenCounts = z.infer<typeof tokenCounts>;

export const modelPrice = z.strictObject({
  model: z.string().min(1).max(128),
  displayName: z.string().min(1).max(128),
  /** Largest prompt plus answer the model takes, in model tokens. */
  contextTokens: z.number().int().min(1).max(100_000_000),
  /** Largest answer, in model tokens; the hold's output bound when the client sets none. */
  outputTokensMax: z.number().int().min(1).max(10_000_000),
  /** Micro-tokens per million model tokens. */
  rates: z.strictObject({
    input: microTokens,
    cachedInput: microTokens,
    cacheWrite: microTokens,
    output: microTokens,
    reasoning: microTokens,
  }),
  /** Micro-tokens per request, on top. */
  perRequest: microTokens,
});
export type ModelPrice = z.infer<typeof modelPrice>;

export const priceBook = z.strictObject({
  version: idOf("prc"),
  effectiveAt: instant,
  models: z.array(modelPrice).max(2_000),
});
export type PriceBook = z.infer<typeof priceBook>;

export const priceBookKv = defineKv({
  bucket: "price_book",
  description: "The price book in force under the key `current`. Written by billing, watched by every gateway.",
  value: priceBook,
  history: 8,
  ttlMs: 0,
  maxValueBytes: 1_000_000,
});
export const priceBookKey = "current";

const million = 1_000_000n;

/** Exact cost times one million, before the one rounding. */
function exactMillionths(price: ModelPrice, tokens: TokenCounts): bigint {
  return tokenClasses.reduce((sum, tokenClass) => sum + BigInt(tokens[tokenClass]) * price.rates[tokenClass], 0n);
}

/** What this usage costs: exact sum, rounded once half to even, plus the per-request part. */
export function priceUsage(price: ModelPrice, tokens: TokenCounts): MicroTokens {
  return divideHalfEven(exactMillionths(price, tokens), million) + price.perRequest;
}

/** Upper bound of what the usage can cost; rounded up, so that it is never below {@link priceUsage} for smaller counts. */
export function priceBound(price: ModelPrice, tokens: TokenCounts): MicroTokens {
  return divideCeil(exactMillionths(price, tokens), million) + price.perRequest;
}
