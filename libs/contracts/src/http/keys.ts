import * as z from "zod";
import { amount, idOf, instant } from "../codecs.ts";
import { keyStatus } from "../keys.ts";

const capAmount = amount.refine((value) => value >= 0n, { message: "a cap is not negative" }).nullable();
/** What a key may spend in a UTC day, a UTC month, and ever; null = no limit in this window. */
export const keySpendCaps = z.strictObject({ daily: capAmount, monthly: capAmount, total: capAmount });

export const apiKey = z.strictObject({
  keyId: idOf("key"),
  name: z.string(),
  /** First characters of the key, for recognising it; not enough to use it. */
  prefix: z.string(),
  status: keyStatus,
  /** Null = no caps: the balance alone is the limit. */
  caps: keySpendCaps.nullable(),
  createdAt: instant,
  revokedAt: instant.nullable(),
});
export type ApiKey = z.infer<typeof apiKey>;
export const keyCreateBody = z.strictObject({
  name: z.string().trim().min(1).max(100),
  caps: keySpendCaps.nullable().optional(),
});
/** Gateways see the change within their cache bound; what a lease holds under the old caps may still be spent. */
export const keyChangeBody = z.strictObject({ caps: keySpendCaps.nullable() });
/** The only answer that holds the secret; it cannot be shown again. */
export const keyCreated = z.strictObject({ key: apiKey, secret: z.string() });
export const keyResponse = z.strictObject({ key: apiKey });
export const keyList = z.strictObject({ keys: z.array(apiKey) });
