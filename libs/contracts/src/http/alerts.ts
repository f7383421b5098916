import * as z from "zod";
import { amount, idOf, instant } from "../codecs.ts";

/**
 * Alerts compare `paid + bonus`: what is not spent yet. What running requests hold is not taken off: gateways reserve in large
 * steps and give back what is not used, so a threshold on `available` would be crossed by traffic that costs next to nothing.
 */

export const alertThresholdsMax = 5;

const threshold = amount.refine((value) => value > 0n && value <= 10n ** 15n, "must be above 0 and within bounds");

export const alertSettingsBody = z.strictObject({
  enabled: z.boolean(),
  thresholds: z
    .array(threshold)
    .max(alertThresholdsMax)
    .refine((list) => new Set(list).size === list.length, "must differ from each other"),
});

export const alertSettings = z.strictObject({
  enabled: z.boolean(),
  /** Highest first. */
  thresholds: z.array(amount),
  /** Those that have told, or were set while the balance was below already; each is armed again when the balance is 5 % above it. */
  silent: z.array(amount),
});

export const firedAlert = z.strictObject({
  alertId: idOf("evt"),
  threshold: amount,
  balance: amount,
  firedAt: instant,
});

/** Newest first. */
export const alertHistory = z.strictObject({ alerts: z.array(firedAlert), nextCursor: z.string().nullable() });
export const alertHistoryQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(100).optional(),
});
