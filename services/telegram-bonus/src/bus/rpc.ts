import { rpcHandler, type RpcHandler } from "@codex/bus";
import { referralCodeGet } from "@codex/contracts";
import { ok } from "@codex/kernel";
import type { ReferralStore } from "../app/ports.ts";
import { referralCode } from "../app/referral-code.ts";

/** The answers of this service on the bus. */
export function bonusRpcs(store: ReferralStore): readonly RpcHandler[] {
  return [
    rpcHandler(referralCodeGet, async ({ req }) => {
      const { code, createdAt } = await referralCode(store, req.accountId);
      return ok({ code, createdAt: createdAt.toISOString() });
    }),
  ];
}
