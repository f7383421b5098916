import * as z from "zod";
import { count, idOf, instant, microTokens } from "./codecs.ts";
import { defineKv } from "./define.ts";

/**
 * The price contract, its data: what a price book says. What it means is computed in price-usage.ts. Both live here because
 * the gateway that charges, billing that charges again and the receipt that explains must come to the same micro-token.
 *
 * Glossary
 *   rate         micro-tokens of balance for one million model tokens of a class
 *   input        prompt tokens that were not served from a cache
 *   cachedInput  prompt tokens read from the provider's cache; not part of `input`
 *   cacheWrite   prompt tokens written to the provider's cache to be kept five minutes, or as long as the provider likes
 *   cacheWrite1h prompt tokens written to the provider's cache to be kept an hour
 *   output       completion tokens, reasoning included unless a reasoning rate is set
 *   tier         other rates for the whole request once its prompt is longer than a bound
 *   ppm          a multiplier in millionths: 1 000 000 leaves the price as it is
 */

export const tokenClasses = ["input", "cachedInput", "cacheWrite", "cacheWrite1h", "output", "reasoning"] as const;
export type TokenClass = (typeof tokenClasses)[number];

/** Model tokens by class, disjoint: a token is counted in exactly one class. `cacheWrite1h` is absent in older records: 0. */
export const tokenCounts = z.strictObject({
  input: count,
  cachedInput: count,
  cacheWrite: count,
  cacheWrite1h: count.default(0),
  output: count,
  reasoning: count,
});
export type TokenCounts = z.infer<typeof tokenCounts>;

/** Size and quality of a picture as one word, "1024x1024-high": the operator's own, equal in price and usage. */
export const imageVariant = z.string().min(1).max(32);
export const usageImages = z.strictObject({ count, variant: imageVariant });

/** Customers who pay the same share of the list price. */
export const priceGroupName = z
  .string()
  .min(1)
  .max(32)
  .regex(/^[a-z0-9_-]+$/);
/** The group of every account that was put into no other. */
export const defaultPriceGroup = "default";

/** A hundredfold at most; 0 makes it free. */
const multiplierPpm = z.number().int().min(0).max(100_000_000);

const rateAmounts = {
  input: z.bigint(),
  cachedInput: z.bigint(),
  cacheWrite: z.bigint(),
  cacheWrite1h: z.bigint(),
  output: z.bigint(),
  reasoning: z.bigint(),
};

/** Micro-tokens per million model tokens. A list that knows one kind of cache write prices both alike. */
export const rates = z.codec(
  z.strictObject({
    input: microTokens,
    cachedInput: microTokens,
    cacheWrite: microTokens,
    cacheWrite1h: microTokens.optional(),
    output: microTokens,
    reasoning: microTokens,
  }),
  z.strictObject(rateAmounts),
  {
    decode: (listed) => ({ ...listed, cacheWrite1h: listed.cacheWrite1h ?? listed.cacheWrite }),
    encode: (known) => known,
  },
);
export type Rates = z.infer<typeof rates>;

export const weekDays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type WeekDay = (typeof weekDays)[number];

/**
 * A time of the week, in UTC, with a price of its own: from `fromUtc` up to, not including, `toUtc`. When `toUtc` is the
 * earlier one the window runs over midnight into the next day; `days` are those it begins on.
 */
export const offPeakWindow = z.strictObject({
  days: z.array(z.enum(weekDays)).min(1).max(7),
  fromUtc: z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/),
  toUtc: z.string().regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/),
  multiplierPpm,
});
export type OffPeakWindow = z.infer<typeof offPeakWindow>;

export const modelPrice = z.strictObject({
  model: z.string().min(1).max(128),
  displayName: z.string().min(1).max(128),
  /** Largest prompt plus answer the model takes, in model tokens. */
  contextTokens: z.number().int().min(1).max(100_000_000),
  /** Largest answer, in model tokens; the hold's output bound when the client sets none. */
  outputTokensMax: z.number().int().min(1).max(10_000_000),
  rates,
  /** Micro-tokens per request, on top. */
  perRequest: microTokens,
  /** Micro-tokens per picture of a variant, on top. A variant that is not listed costs what the dearest one does. */
  perImage: z
    .array(z.strictObject({ variant: imageVariant, microTokens }))
    .max(32)
    .default([]),
  /** Micro-tokens per second of sound, on top. */
  perAudioSecond: microTokens.prefault("0"),
  /** Ascending. The last one whose bound the prompt is above, cached tokens included, sets the rates of the whole request. */
  tiers: z
    .array(z.strictObject({ aboveInputTokens: z.number().int().min(1).max(100_000_000), rates }))
    .max(8)
    .default([]),
  /** The first window that holds the moment the request was admitted sets the multiplier; none: 1 000 000. */
  offPeak: z.array(offPeakWindow).max(8).default([]),
});
export type ModelPrice = z.infer<typeof modelPrice>;

export const priceGroup = z.strictObject({ group: priceGroupName, multiplierPpm });
export type PriceGroup = z.infer<typeof priceGroup>;

export const priceBook = z.strictObject({
  version: idOf("prc"),
  effectiveAt: instant,
  models: z.array(modelPrice).max(2_000),
  /** A group that is not listed pays what `default` pays; `default` pays the list price unless it is listed. */
  groups: z.array(priceGroup).max(64).default([]),
});
export type PriceBook = z.infer<typeof priceBook>;

export const priceBookKv = defineKv({
  bucket: "price_book",
  description:
    "The price book in force under the key `current`, the next scheduled one under `next`. Written by billing, watched by every gateway.",
  value: priceBook,
  history: 8,
  ttlMs: 0,
  maxValueBytes: 1_000_000,
  // 2,000 models with tiers, windows and pictures are 1.5 MB of JSON and 20 kB of gzip (docs/adr/0009).
  gzipAboveBytes: 500_000,
});
export const priceBookKey = "current";
/** The scheduled book that becomes effective next; gateways switch to it by their own clock. */
export const priceBookNextKey = "next";
