import * as z from "zod";
import { count, idOf } from "./codecs.ts";
import { defineRpc } from "./define.ts";

export const imageQuota = defineRpc({
  subject: "rpc.images.quota.v1",
  description: "How much of its image quota an account uses.",
  timeoutMs: 2_000,
  req: z.strictObject({ accountId: idOf("acc") }),
  res: z.strictObject({ images: count, bytes: count, bytesMax: count }),
  errors: [],
});
