import * as z from "zod";
import { idOf, instant, microTokens } from "./codecs.ts";
import { defineEvent, defineKv, defineRpc } from "./define.ts";

export const keyStatus = z.enum(["active", "revoked"]);

/** SHA-256 of the full key, lower-case hex. The key itself never travels on the bus. */
export const keyHash = z.string().regex(/^[0-9a-f]{64}$/);

export const keyChanged = defineEvent({
  stream: "EVENTS",
  type: "key.changed",
  version: 1,
  pattern: "evt.key.changed.v1.{keyId}",
  description:
    "A key was created, changed or revoked. `version` grows with each change of the key; a receiver keeps the highest.",
  data: z.strictObject({
    keyId: idOf("key"),
    accountId: idOf("acc"),
    keyHash,
    status: keyStatus,
    version: z.number().int().min(1),
  }),
});

/** Second way for revocations to reach every gateway, for the case that an event is lost: watched, keyed by the key hash. */
export const keyRevocations = defineKv({
  bucket: "key_revocations",
  description:
    "Tombstones of revoked keys by SHA-256 hash. Sticky: an entry is never removed while a gateway may hold the key.",
  value: z.strictObject({ keyId: idOf("key"), version: z.number().int().min(1), revokedAt: instant }),
  history: 1,
  ttlMs: 0,
  maxValueBytes: 512,
});

/** In a UTC day, a UTC month, and ever; null = no limit in this window. */
const keyCaps = z.strictObject({
  daily: microTokens.nullable(),
  monthly: microTokens.nullable(),
  total: microTokens.nullable(),
});

export const keyResolve = defineRpc({
  subject: "rpc.keys.resolve.v1",
  description: "Who owns the key with this hash, and what may it do? Asked once a gateway and key, then cached.",
  timeoutMs: 2_000,
  req: z.strictObject({ keyHash }),
  res: z.strictObject({
    keyId: idOf("key"),
    accountId: idOf("acc"),
    status: keyStatus,
    version: z.number().int().min(1),
    /** Null = every model. */
    models: z.array(z.string()).max(200).nullable(),
    expiresAt: instant.nullable(),
    /** What the key may spend; null = no caps. */
    caps: keyCaps.nullable().default(null),
  }),
  errors: ["unknown_key"],
});
