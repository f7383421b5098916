import * as z from "zod";
import { idOf } from "./codecs.ts";
import { defineKv } from "./define.ts";

/** An upstream as gateway workers use it. The secret is an AES-256-GCM envelope that only gateway-proxy can open (SEC-44). */
export const channelSnapshot = z.strictObject({
  channelId: idOf("chn"),
  name: z.string().min(1).max(64),
  kind: z.enum(["openai", "demo"]),
  baseUrl: z.url({ protocol: /^https?$/ }),
  /** Base64 envelope; null when the upstream wants no key. */
  sealedSecret: z.string().max(4_096).nullable(),
  /** Public model name → name at the upstream. */
  models: z.record(z.string().max(128), z.string().max(128)),
  priority: z.number().int().min(0).max(1_000),
  enabled: z.boolean(),
});
export type ChannelSnapshot = z.infer<typeof channelSnapshot>;

export const channelsKv = defineKv({
  bucket: "gateway_channels",
  description:
    "Every channel under the key `current`, as one snapshot with a growing version. Written by the gateway's control plane, watched by its workers.",
  value: z.strictObject({ version: z.number().int().min(1), channels: z.array(channelSnapshot).max(500) }),
  history: 4,
  ttlMs: 0,
  maxValueBytes: 1_000_000,
});
export const channelsKey = "current";
