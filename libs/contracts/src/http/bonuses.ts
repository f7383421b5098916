import * as z from "zod";
import { amount, idOf, instant } from "../codecs.ts";

/**
 * Spending order: bonus before paid, and of the bonus the oldest credit first. From `expiresAt` on, what is left of a credit is
 * taken back, never more than is available: what running requests hold is left until they end.
 */
export const bonusList = z.strictObject({
  /** Credits that expire and have something left; those that expire soonest come first, at most 200. */
  bonuses: z.array(
    z.strictObject({
      /** The credit. */
      transferId: idOf("trf"),
      amount,
      /** What of it is not spent. */
      remaining: amount,
      expiresAt: instant,
    }),
  ),
});
