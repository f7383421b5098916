import { alertHistory, alertHistoryQuery, alertSettings, alertSettingsBody } from "@codex/contracts";
import { appError, defineRoute, type Route } from "@codex/http";
import { parseId, type AccountId, type MicroTokens } from "@codex/kernel";
import type { AlertSettings, AlertStore } from "../app/alert-ports.ts";

export interface AlertRouteDeps {
  readonly alerts: Pick<AlertStore, "settings" | "history">;
  readonly setAlerts: (
    accountId: AccountId,
    wanted: { readonly enabled: boolean; readonly thresholds: readonly MicroTokens[] },
  ) => Promise<AlertSettings>;
}

const own = { auth: "session", owner: "account", logClass: "standard" } as const;
const read = { ...own, method: "GET", rateClass: "read", bodyLimitBytes: 0 } as const;

/** Alerts when the account's money runs low. */
export function alertRoutes(deps: AlertRouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...read,
      operationId: "getAlerts",
      path: "/api/billing/alerts",
      summary: "The account's low-balance alerts; none and disabled before they are set",
      request: {},
      responses: { 200: alertSettings },
      errors: [],
      handler: async ({ principal }) => ({
        status: 200,
        body: toApiSettings(await deps.alerts.settings(principal.accountId)),
      }),
    }),
    defineRoute({
      ...own,
      method: "PUT",
      rateClass: "write",
      bodyLimitBytes: 4_096,
      operationId: "setAlerts",
      path: "/api/billing/alerts",
      summary: "Set the low-balance alerts as a whole",
      request: { body: alertSettingsBody },
      responses: { 200: alertSettings },
      errors: [],
      handler: async ({ principal, body }) => ({
        status: 200,
        body: toApiSettings(await deps.setAlerts(principal.accountId, body)),
      }),
    }),
    defineRoute({
      ...read,
      operationId: "listAlertHistory",
      path: "/api/billing/alerts/history",
      summary: "The alerts that fired, newest first",
      request: { query: alertHistoryQuery },
      responses: { 200: alertHistory },
      errors: ["invalid_cursor"],
      handler: async ({ principal, query }) => {
        const before = query.cursor === undefined ? undefined : parseId("evt", query.cursor);
        if (query.cursor !== undefined && before === undefined)
          throw appError("invalid_cursor", "The page cursor is not valid.");
        const found = await deps.alerts.history(principal.accountId, query.limit + 1, before);
        const shown = found.slice(0, query.limit).map(({ alertId, threshold, balance, firedAt }) => ({
          alertId,
          threshold,
          balance,
          firedAt: firedAt.toISOString(),
        }));
        const nextCursor = found.length > query.limit ? (shown.at(-1)?.alertId ?? null) : null;
        return { status: 200, body: { alerts: shown, nextCursor } };
      },
    }),
  ];
}

function toApiSettings({ enabled, thresholds }: AlertSettings): {
  enabled: boolean;
  thresholds: MicroTokens[];
  silent: MicroTokens[];
} {
  return {
    enabled,
    thresholds: thresholds.map(({ threshold }) => threshold),
    silent: thresholds.filter(({ armed }) => !armed).map(({ threshold }) => threshold),
  };
}
