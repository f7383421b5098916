import * as z from "zod";
import { count, idOf, instant, microTokens } from "./codecs.ts";
import { defineKv } from "./define.ts";

/**
 * Glossary
 *   channel   one way to reach models: an upstream's address with the keys to it
 *   kind      whose API the channel speaks; decides paths, headers and how a refusal is read
 *   egress    where the channel may connect to (SEC-44, SEC-83): `vendor` only the kind's own hosts, `public` any host with
 *             global addresses, `private` also loopback and private networks, and plain http
 *   state     `enabled`; `draining`: takes nothing new, running requests end, then it becomes `disabled`; `disabled`
 */

export const channelKind = z.enum([
  "openai",
  "anthropic",
  "gemini",
  "openrouter",
  "azure-openai",
  "openai-compatible",
  "demo",
]);
export type ChannelKind = z.infer<typeof channelKind>;

export const channelState = z.enum(["enabled", "draining", "disabled"]);
export type ChannelState = z.infer<typeof channelState>;

export const channelEgress = z.enum(["vendor", "public", "private"]);
export type ChannelEgress = z.infer<typeof channelEgress>;

/**
 * A key as workers get it: AES-256-GCM under a data key of its own, which is wrapped by the gateway's master key (SEC-41,
 * SEC-44). Only gateway-proxy can open it.
 */
export const upstreamKeySnapshot = z.object({
  keyId: idOf("upk"),
  label: z.string().max(64),
  /** Base64 envelope. */
  sealedSecret: z.string().max(8_192),
  /** Base64 envelope of the data key; null for a secret of the first version, sealed by the master key itself. */
  wrappedKey: z.string().max(1_024).nullable(),
  /** Version of the master key that wraps the data key; 0 goes with a null `wrappedKey`. */
  keyVersion: z.number().int().min(0).max(1_000_000),
});
export type UpstreamKeySnapshot = z.infer<typeof upstreamKeySnapshot>;

/** Not strict, other than events: a worker of the version before must be able to read a snapshot that says more than it knows. */
export const channelSnapshot = z.object({
  channelId: idOf("chn"),
  /** Grows with each change of this channel. */
  version: z.number().int().min(1),
  name: z.string().min(1).max(64),
  kind: channelKind,
  baseUrl: z.url({ protocol: /^https?$/ }),
  egress: channelEgress,
  /** Azure's `api-version`; the `anthropic-version` of requests that bring none. Null: the kind's default. */
  apiVersion: z.string().max(64).nullable(),
  /** Public model name → name (for Azure: deployment) at the upstream. */
  models: z.record(z.string().max(128), z.string().max(128)),
  /** The highest that can serve is asked first. */
  priority: z.number().int().min(0).max(1_000),
  /** Share of the requests among channels of the same priority. */
  weight: z.number().int().min(1).max(1_000),
  state: channelState,
  /** Null: the gateway's setting. */
  firstByteTimeoutMs: z.number().int().nullable(),
  betweenBytesTimeoutMs: z.number().int().nullable(),
  /** Requests at the same time over all workers; null: no bound. */
  concurrencyMax: z.number().int().min(1).nullable(),
  /** What may be charged to customers for this channel's answers a UTC day; null: no bound. */
  dailyBudgetMicroTokens: microTokens.nullable(),
  /** Requests a UTC day; null: no bound. */
  dailyRequestsMax: z.number().int().min(1).nullable(),
  /** Those in use. */
  keys: z.array(upstreamKeySnapshot).max(50),
  /** The channel is called without credentials. */
  keyless: z.boolean(),
});
export type ChannelSnapshot = z.infer<typeof channelSnapshot>;

/** A new bucket, because workers of the first version read `gateway_channels` strictly and would lose every channel. */
export const channelsKv = defineKv({
  bucket: "gateway_channels_v2",
  description:
    "Every channel under the key `current`, as one snapshot with a growing version. Written by the gateway's control plane, watched by its workers.",
  value: z.object({ version: z.number().int().min(1), channels: z.array(channelSnapshot).max(500) }),
  history: 4,
  ttlMs: 0,
  maxValueBytes: 1_000_000,
  gzipAboveBytes: 65_536,
});
export const channelsKey = "current";

/** Why a key is left alone for a while. */
export const keyRestReason = z.enum(["rate_limited", "quota", "rejected"]);
export type KeyRestReason = z.infer<typeof keyRestReason>;

/** How one worker sees a channel. Sums are since that worker started. */
export const channelReport = z.object({
  at: instant,
  running: count,
  requests: count,
  /** Attempts that failed by the upstream's fault. */
  failures: count,
  /** Attempts that the upstream refused with 429. */
  rateLimited: count,
  /** Moving average of the time to the first byte; null before the first answer. */
  firstByteMs: z.number().min(0).nullable(),
  /** `model` is the upstream's name of it; null: the key rests for every model. */
  restingKeys: z
    .array(
      z.object({
        keyId: idOf("upk").nullable(),
        model: z.string().max(128).nullable(),
        reason: keyRestReason,
        untilMs: count,
      }),
    )
    .max(100),
  /** Models whose breaker is not closed. */
  breakers: z
    .array(z.object({ model: z.string().max(128), state: z.enum(["open", "half_open"]), untilMs: count }))
    .max(500),
});
export type ChannelReport = z.infer<typeof channelReport>;
