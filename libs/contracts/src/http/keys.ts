import * as z from "zod";
import { amount, idOf, instant } from "../codecs.ts";
import { addressList, keyClient, keyEnvironment, keyLimits, keyStatus } from "../keys.ts";

const capAmount = amount.refine((value) => value >= 0n, { message: "a cap is not negative" }).nullable();
/** What a key may spend in a UTC day, a UTC month, and ever; null = no limit in this window. */
export const keySpendCaps = z.strictObject({ daily: capAmount, monthly: capAmount, total: capAmount });

/** Names as `GET /v1/models` lists them. One that is not sold is allowed: it may come back. */
const modelList = z.array(z.string().trim().min(1).max(128)).min(1).max(200);

const keyName = z.string().trim().min(1).max(100);
/** The owner's own words for finding keys again. */
const tagList = z.array(z.string().trim().min(1).max(40)).max(20);

/** What an owner may set of a key; null lifts the restriction. */
const settings = {
  tags: tagList,
  caps: keySpendCaps.nullable(),
  limits: keyLimits.nullable(),
  models: modelList.nullable(),
  allowedIps: addressList.nullable(),
  /** In the future; from then on the key is refused. Null = never. */
  expiresAt: instant.nullable(),
};

export const apiKey = z.strictObject({
  keyId: idOf("key"),
  name: z.string(),
  /** First characters of the key, for recognising it; not enough to use it. */
  prefix: z.string(),
  environment: keyEnvironment,
  tags: z.array(z.string()),
  status: keyStatus,
  /** Null = no caps: the balance alone is the limit. */
  caps: settings.caps,
  /** Null = the operator's limits. */
  limits: settings.limits,
  /** Null = every model. */
  models: z.array(z.string()).nullable(),
  /** Null = from everywhere. */
  allowedIps: z.array(z.string()).nullable(),
  /** A key past it is refused, whatever its status. Null = never. */
  expiresAt: instant.nullable(),
  /** The hour of the last use, at its beginning; null = never used. */
  lastUsedAt: instant.nullable(),
  lastUsedClient: keyClient.nullable(),
  /** The key that took this one's place when it was rolled. */
  replacedBy: idOf("key").nullable(),
  createdAt: instant,
  revokedAt: instant.nullable(),
});
export type ApiKey = z.infer<typeof apiKey>;
export const keyCreateBody = z.strictObject({
  name: keyName,
  environment: keyEnvironment.default("live"),
  ...z.strictObject(settings).partial().shape,
});
/** Gateways see the change within their cache bound; what a lease holds under the old caps may still be spent. */
export const keyChangeBody = z
  .strictObject({ name: keyName, ...settings })
  .partial()
  .refine((change) => Object.keys(change).length > 0, {
    message: "give at least one of name, tags, caps, limits, models, allowedIps, expiresAt",
  });
/** Seconds that the old key goes on working beside the new one: 0 to a day. 0 revokes it at once. */
export const keyRollBody = z.strictObject({ overlapSeconds: z.number().int().min(0).max(86_400) });
/** The new key with its secret, which is in no other answer, and the old one with its end. */
export const keyRolled = z.strictObject({ key: apiKey, secret: z.string(), previous: apiKey });
export const keysRevokeBody = z.strictObject({ keyIds: z.array(idOf("key")).min(1).max(100) });
/** The only answer that holds the secret; it cannot be shown again. */
export const keyCreated = z.strictObject({ key: apiKey, secret: z.string() });
export const keyResponse = z.strictObject({ key: apiKey });
export const keyList = z.strictObject({ keys: z.array(apiKey) });
