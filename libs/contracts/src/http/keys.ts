import * as z from "zod";
import { amount, idOf, instant } from "../codecs.ts";
import { addressList, keyLimits, keyStatus } from "../keys.ts";

const capAmount = amount.refine((value) => value >= 0n, { message: "a cap is not negative" }).nullable();
/** What a key may spend in a UTC day, a UTC month, and ever; null = no limit in this window. */
export const keySpendCaps = z.strictObject({ daily: capAmount, monthly: capAmount, total: capAmount });

/** Names as `GET /v1/models` lists them. One that is not sold is allowed: it may come back. */
const modelList = z.array(z.string().trim().min(1).max(128)).min(1).max(200);

/** What an owner may set of a key; null lifts the restriction. */
const settings = {
  caps: keySpendCaps.nullable(),
  limits: keyLimits.nullable(),
  models: modelList.nullable(),
  allowedIps: addressList.nullable(),
};

export const apiKey = z.strictObject({
  keyId: idOf("key"),
  name: z.string(),
  /** First characters of the key, for recognising it; not enough to use it. */
  prefix: z.string(),
  status: keyStatus,
  /** Null = no caps: the balance alone is the limit. */
  caps: settings.caps,
  /** Null = the operator's limits. */
  limits: settings.limits,
  /** Null = every model. */
  models: z.array(z.string()).nullable(),
  /** Null = from everywhere. */
  allowedIps: z.array(z.string()).nullable(),
  createdAt: instant,
  revokedAt: instant.nullable(),
});
export type ApiKey = z.infer<typeof apiKey>;
export const keyCreateBody = z.strictObject({
  name: z.string().trim().min(1).max(100),
  ...z.strictObject(settings).partial().shape,
});
/** Gateways see the change within their cache bound; what a lease holds under the old caps may still be spent. */
export const keyChangeBody = z
  .strictObject(settings)
  .partial()
  .refine((change) => Object.keys(change).length > 0, {
    message: "give at least one of caps, limits, models, allowedIps",
  });
/** The only answer that holds the secret; it cannot be shown again. */
export const keyCreated = z.strictObject({ key: apiKey, secret: z.string() });
export const keyResponse = z.strictObject({ key: apiKey });
export const keyList = z.strictObject({ keys: z.array(apiKey) });
