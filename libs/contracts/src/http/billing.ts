import * as z from "zod";
import { usageStatus } from "../billing.ts";
import { amount, count, idOf, instant } from "../codecs.ts";
import { imageVariant, offPeakWindow, priceGroupName, tokenCounts, usageImages } from "../pricing.ts";

/** `available = paid + bonus − held`. Bonus is spent first, then paid. */
export const balanceResponse = z.strictObject({
  paid: amount,
  bonus: amount,
  held: amount,
  available: amount,
  updatedAt: instant,
});
export type Balance = z.infer<typeof balanceResponse>;

export const usageLine = z.strictObject({
  requestId: idOf("req"),
  keyId: idOf("key"),
  route: z.string(),
  model: z.string(),
  status: usageStatus,
  httpStatus: z.number().int(),
  errorCode: z.string().nullable(),
  streamed: z.boolean(),
  tokens: tokenCounts,
  images: usageImages.nullable(),
  audioMs: count,
  estimated: z.boolean(),
  charged: amount,
  /** What was given back so far, by whatever way; at most `charged`. */
  refunded: amount,
  startedAt: instant,
  firstByteMs: count.nullable(),
  durationMs: count,
});
export type UsageLine = z.infer<typeof usageLine>;

/** Newest first. `nextCursor` is opaque; null on the last page. */
export const usageList = z.strictObject({ usage: z.array(usageLine), nextCursor: z.string().nullable() });
export const usageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(200).optional(),
});

/**
 * How the charge came about, so that anyone can check the sum: `exact` of all lines, times both multipliers over a million,
 * is `exact`; rounded it is `charged`, unless the hold was smaller.
 */
export const usageReceipt = z.strictObject({
  usage: usageLine,
  priceVersion: idOf("prc"),
  hold: amount,
  lines: z.array(
    z.strictObject({
      /** A token class, `image`, `audio` or `request`. */
      class: z.string(),
      /** Model tokens; pictures; milliseconds of sound; requests. */
      quantity: count,
      /** Tokens of balance per million model tokens; per picture; per second of sound; per request. */
      rate: amount,
      /** Exact, before multipliers and rounding, as a decimal string of tokens. */
      exact: z.string(),
    }),
  ),
  terms: z.strictObject({
    /** The prompt was longer than this, so the tier's rates hold for the whole request; null below the first tier. */
    tierAboveInputTokens: count.nullable(),
    offPeakPpm: count,
    priceGroup: priceGroupName,
    groupPpm: count,
  }),
  /** Exact sum of the lines after multipliers, before rounding, as a decimal string of tokens. */
  exact: z.string(),
  rounding: z.literal("half-even, once, to 0.000001"),
  /** How `computed` follows from the lines, and `charged` from `computed`: enough to do it again by hand. */
  formula: z.string(),
  /** The sum of the lines, rounded once. */
  computed: amount,
  charged: amount,
  refunded: amount,
  /** The first transfer that paid for it, bonus before paid; null when nothing was charged. */
  transferId: idOf("trf").nullable(),
  /** Every transfer of the batch that took this charge, among others, from the account: one a bucket. */
  transfers: z.array(z.strictObject({ transferId: idOf("trf"), bucket: z.enum(["bonus", "paid"]) })).max(2),
  postedAt: instant,
});
export type UsageReceipt = z.infer<typeof usageReceipt>;

/** Tokens of balance per million model tokens. */
const publicRates = {
  input: amount,
  cachedInput: amount,
  cacheWrite: amount,
  cacheWrite1h: amount,
  output: amount,
  reasoning: amount,
};

/** The list price of a model; docs/prices.md explains each field. What a group pays is not public. */
export const publicPrice = z.strictObject({
  model: z.string(),
  displayName: z.string(),
  contextTokens: count,
  outputTokensMax: count,
  ...publicRates,
  perRequest: amount,
  perImage: z.array(z.strictObject({ variant: imageVariant, price: amount })),
  perAudioSecond: amount,
  tiers: z.array(z.strictObject({ aboveInputTokens: count, ...publicRates })),
  offPeak: z.array(offPeakWindow),
});
export const priceList = z.strictObject({ version: idOf("prc"), effectiveAt: instant, models: z.array(publicPrice) });
export type PriceList = z.infer<typeof priceList>;
