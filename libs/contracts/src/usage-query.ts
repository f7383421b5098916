import * as z from "zod";
import { idOf, instant, microTokens } from "./codecs.ts";
import { defineRpc } from "./define.ts";
import { usageLine } from "./http/billing.ts";

/** What a customer's program asks about its own account, by its API key: the gateway knows who asks, billing knows the books. */

export const usageGet = defineRpc({
  subject: "rpc.billing.usage.get.v1",
  description: "One booked request of the account. `unknown_request` also while it is on its way from the gateway.",
  timeoutMs: 2_000,
  req: z.strictObject({ accountId: idOf("acc"), requestId: idOf("req") }),
  res: z.strictObject({ usage: usageLine, priceVersion: idOf("prc"), postedAt: instant }),
  errors: ["unknown_request"],
});

export const accountTotalsGet = defineRpc({
  subject: "rpc.billing.account-totals.get.v1",
  description:
    "What an account ever got, net of what was taken back, and what it ever spent, net of refunds of requests: the difference is its balance, paid and bonus. Zeros when it never had money.",
  timeoutMs: 2_000,
  req: z.strictObject({ accountId: idOf("acc") }),
  res: z.strictObject({ creditedMicroTokens: microTokens, spentMicroTokens: microTokens }),
  errors: [],
});

export const keySpendGet = defineRpc({
  subject: "rpc.billing.key-spend.get.v1",
  description:
    "What a key has spent since it was capped, by the UTC windows of its caps; zeros for a key without caps.",
  timeoutMs: 2_000,
  req: z.strictObject({ keyId: idOf("key") }),
  res: z.strictObject({
    dailyMicroTokens: microTokens,
    monthlyMicroTokens: microTokens,
    totalMicroTokens: microTokens,
  }),
  errors: [],
});
