import * as z from "zod";
import { usageStatus } from "../billing.ts";
import { amount, count, idOf, instant } from "../codecs.ts";
import { tokenCounts } from "../pricing.ts";

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
  estimated: z.boolean(),
  charged: amount,
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

/** How the charge came about, so that anyone can check the sum. */
export const usageReceipt = z.strictObject({
  usage: usageLine,
  priceVersion: idOf("prc"),
  hold: amount,
  lines: z.array(
    z.strictObject({
      class: z.string(),
      quantity: count,
      /** Tokens of balance per million model tokens; per request for the class `request`. */
      rate: amount,
      /** Exact, before rounding, as a decimal string of tokens. */
      exact: z.string(),
    }),
  ),
  rounding: z.literal("half-even, once, to 0.000001"),
  /** How `computed` follows from the lines, and `charged` from `computed`: enough to do it again by hand. */
  formula: z.string(),
  /** The sum of the lines, rounded once. */
  computed: amount,
  charged: amount,
  /** The first transfer that paid for it, bonus before paid; null when nothing was charged. */
  transferId: idOf("trf").nullable(),
  /** Every transfer of the batch that took this charge, among others, from the account: one a bucket. */
  transfers: z.array(z.strictObject({ transferId: idOf("trf"), bucket: z.enum(["bonus", "paid"]) })).max(2),
  postedAt: instant,
});
export type UsageReceipt = z.infer<typeof usageReceipt>;

export const publicPrice = z.strictObject({
  model: z.string(),
  displayName: z.string(),
  contextTokens: count,
  outputTokensMax: count,
  /** Tokens of balance per million model tokens. */
  input: amount,
  cachedInput: amount,
  cacheWrite: amount,
  output: amount,
  reasoning: amount,
  perRequest: amount,
});
export const priceList = z.strictObject({ version: idOf("prc"), effectiveAt: instant, models: z.array(publicPrice) });
