import * as z from "zod";
import { idOf, instant } from "../codecs.ts";
import { keyStatus } from "../keys.ts";

export const apiKey = z.strictObject({
  keyId: idOf("key"),
  name: z.string(),
  /** First characters of the key, for recognising it; not enough to use it. */
  prefix: z.string(),
  status: keyStatus,
  createdAt: instant,
  revokedAt: instant.nullable(),
});
export type ApiKey = z.infer<typeof apiKey>;
export const keyCreateBody = z.strictObject({ name: z.string().trim().min(1).max(100) });
/** The only answer that holds the secret; it cannot be shown again. */
export const keyCreated = z.strictObject({ key: apiKey, secret: z.string() });
export const keyResponse = z.strictObject({ key: apiKey });
export const keyList = z.strictObject({ keys: z.array(apiKey) });
