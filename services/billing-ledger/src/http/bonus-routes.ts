import { bonusList } from "@codex/contracts";
import { defineRoute, type Route } from "@codex/http";
import type { BonusStore } from "../app/expire-bonuses.ts";

export interface BonusRouteDeps {
  readonly bonuses: Pick<BonusStore, "running">;
}

const shownMax = 200;

export function bonusRoutes(deps: BonusRouteDeps): readonly Route[] {
  return [
    defineRoute({
      method: "GET",
      auth: "session",
      owner: "account",
      rateClass: "read",
      bodyLimitBytes: 0,
      logClass: "standard",
      operationId: "listBonuses",
      path: "/api/billing/bonuses",
      summary: "Bonus that expires, with what is left of it and until when",
      request: {},
      responses: { 200: bonusList },
      errors: [],
      handler: async ({ principal }) => {
        const running = await deps.bonuses.running(principal.accountId, shownMax);
        const bonuses = running.map((bonus) => ({ ...bonus, expiresAt: bonus.expiresAt.toISOString() }));
        return { status: 200, body: { bonuses } };
      },
    }),
  ];
}
