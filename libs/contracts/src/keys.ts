import * as z from "zod";
import { idOf, instant, microTokens } from "./codecs.ts";
import { defineEvent, defineKv, defineRpc } from "./define.ts";

export const keyStatus = z.enum(["active", "revoked"]);

/** Part of the key itself, so that a scanner and a reader can tell; a test key costs and counts like a live one. */
export const keyEnvironment = z.enum(["live", "test"]);

/** Programs as their user agent names them. A closed list: nothing else of the user agent is kept. */
export const keyClient = z.enum([
  "codex",
  "claude-code",
  "opencode",
  "openai-python",
  "openai-node",
  "anthropic-python",
  "anthropic-node",
  "ai-sdk",
  "langchain",
  "curl",
  "browser",
  "other",
]);
export type KeyClient = z.infer<typeof keyClient>;

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

/** Largest limit that can be set; far above what a deployment serves. */
const limitMax = 1_000_000_000;
const limit = z.number().int().min(1).max(limitMax).nullable();

/** What the owner allows a key within the operator's ceiling; null = the ceiling itself. */
export const keyLimits = z.strictObject({
  requestsPerMinute: limit,
  tokensPerMinute: limit,
  concurrentRequests: limit,
});
export type KeyLimits = z.infer<typeof keyLimits>;

const addressEntriesMax = 50;

/** Addresses and CIDR ranges, IPv4 and IPv6. Bits beyond a range's prefix are ignored, as Postgres and nginx do. */
export const addressList = z
  .array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], { error: "expected an IP address or a CIDR range" }))
  .min(1)
  .max(addressEntriesMax);

const owned = {
  keyId: idOf("key"),
  accountId: idOf("acc"),
  status: keyStatus,
  version: z.number().int().min(1),
  /** Null = every model. */
  models: z.array(z.string()).max(200).nullable(),
  expiresAt: instant.nullable(),
  /** What the key may spend; null = no caps. */
  caps: keyCaps.nullable().default(null),
};

/**
 * The second version ignores what it does not know, so that the next field needs no third: a registry may be newer than the
 * gateways that ask it.
 */
export const keyResolve = defineRpc({
  subject: "rpc.keys.resolve.v2",
  description: "Who owns the key with this hash, and what may it do? Asked once a gateway and key, then cached.",
  timeoutMs: 2_000,
  req: z.strictObject({ keyHash }),
  res: z.object({
    ...owned,
    limits: keyLimits.nullable().default(null),
    /** Null = from everywhere. */
    allowedIps: addressList.nullable().default(null),
  }),
  errors: ["unknown_key"],
});

/** Of the version before, which reads its answer strictly: answered while gateways of that version run, and asked while registries do. */
export const keyResolveV1 = defineRpc({
  subject: "rpc.keys.resolve.v1",
  description: "As version 2, without limits and addresses.",
  timeoutMs: 2_000,
  req: z.strictObject({ keyHash }),
  res: z.strictObject(owned),
  errors: ["unknown_key"],
});

/** How it was shown that a key is known to others: by sending the key itself, or by GitHub's signature beside it. */
export const keyReportVia = z.enum(["holder", "github"]);
export type KeyReportVia = z.infer<typeof keyReportVia>;

/** Of a signed report: http(s), as GitHub gives it. */
const foundAt = z
  .url({ protocol: /^https?$/ })
  .max(2_000)
  .nullable();

/** Who sends it had the key: its hash is the proof. The answer is the same whether or not there is such a key (SEC-39). */
export const keyReport = defineRpc({
  subject: "rpc.keys.report.v1",
  description: "Somebody reported a leaked key: it is revoked, if it exists. Idempotent.",
  timeoutMs: 5_000,
  req: z.strictObject({ keyHash, via: keyReportVia, foundAt }),
  res: z.object({}),
  errors: [],
});

export const keyReported = defineEvent({
  stream: "EVENTS",
  type: "key.reported",
  version: 1,
  pattern: "evt.key.reported.v1.{keyId}",
  description: "A key was revoked because somebody showed that it is known to others; its owner is to be told.",
  data: z.strictObject({
    keyId: idOf("key"),
    accountId: idOf("acc"),
    /** First characters of the key, by which its owner recognises it. */
    prefix: z.string().max(16),
    via: keyReportVia,
    foundAt,
    at: instant,
  }),
});

const keyUsesMax = 1_000;

/** Coarse on purpose: the hour alone, so that it is no record of when somebody works (SEC-38). */
export const keyUsesReport = defineRpc({
  subject: "rpc.keys.uses.report.v1",
  description:
    "Keys that a gateway saw in use, each once an hour. Idempotent: the registry keeps the latest hour. What is lost is told by the next use.",
  timeoutMs: 2_000,
  req: z.strictObject({
    uses: z
      .array(z.strictObject({ keyId: idOf("key"), hour: instant, client: keyClient }))
      .min(1)
      .max(keyUsesMax),
  }),
  res: z.object({}),
  errors: [],
});
