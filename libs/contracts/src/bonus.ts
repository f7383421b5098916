import * as z from "zod";
import { idOf, instant } from "./codecs.ts";
import { defineRpc } from "./define.ts";

export const referralCodeGet = defineRpc({
  subject: "rpc.bonus.referral-code.v1",
  description:
    "The account's referral code; made on first ask, random, at least 40 bits (SEC-64), the same ever after.",
  timeoutMs: 2_000,
  req: z.strictObject({ accountId: idOf("acc") }),
  res: z.strictObject({ code: z.string().regex(/^[0-9A-HJKMNP-TV-Z]{10}$/), createdAt: instant }),
  errors: [],
});
