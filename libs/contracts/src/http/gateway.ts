import * as z from "zod";
import { idOf } from "../codecs.ts";

export const channelCreateBody = z.strictObject({
  name: z.string().trim().min(1).max(64),
  kind: z.enum(["openai", "demo"]),
  baseUrl: z.url({ protocol: /^https?$/ }),
  secret: z.string().min(1).max(1_024).nullable(),
  models: z.record(z.string().min(1).max(128), z.string().min(1).max(128)),
  priority: z.number().int().min(0).max(1_000).default(0),
});
/** Never holds the secret, only whether there is one. */
export const channel = z.strictObject({
  channelId: idOf("chn"),
  name: z.string(),
  kind: z.enum(["openai", "demo"]),
  baseUrl: z.string(),
  hasSecret: z.boolean(),
  models: z.record(z.string(), z.string()),
  priority: z.number().int(),
  enabled: z.boolean(),
});
export const channelResponse = z.strictObject({ channel });
export const channelList = z.strictObject({ channels: z.array(channel) });
