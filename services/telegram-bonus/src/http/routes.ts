import { referralCodeGet } from "@codex/contracts";
import { defineRoute, type Route } from "@codex/http";
import type { ReferralStore } from "../app/ports.ts";
import { referralCode } from "../app/referral-code.ts";

/** The owner's API of bonuses, under /api/bonus. */
export function bonusRoutes(store: ReferralStore): readonly Route[] {
  return [
    defineRoute({
      operationId: "readReferralCode",
      method: "GET",
      path: "/api/bonus/referral-code",
      summary: "The account's referral code",
      auth: "session",
      owner: "account",
      rateClass: "read",
      bodyLimitBytes: 0,
      logClass: "standard",
      request: {},
      responses: { 200: referralCodeGet.res },
      errors: [],
      handler: async ({ principal }) => {
        const { code, createdAt } = await referralCode(store, principal.accountId);
        return { status: 200, body: { code, createdAt: createdAt.toISOString() } };
      },
    }),
  ];
}
