import { balanceResponse, priceList, usageList, usageQuery } from "@codex/contracts";
import { appError, auditRoutes, defineRoute, type ReadActs, type Route } from "@codex/http";
import type { AccountId } from "@codex/kernel";
import type { PriceStore, UsageStore } from "../app/ports.ts";
import type { BalanceView } from "../app/read-balance.ts";
import { disputeRoutes, type DisputeRouteDeps } from "./dispute-routes.ts";
import { alertRoutes, type AlertRouteDeps } from "./alert-routes.ts";
import { bonusRoutes, type BonusRouteDeps } from "./bonus-routes.ts";
import { fromApiCursor, toApiBalance, toApiCursor, toApiPrices } from "./convert.ts";
import { operatorDisputeRoutes, type OperatorDisputeDeps } from "./operator-dispute-routes.ts";
import { operatorMoneyRoutes, type OperatorMoneyDeps } from "./operator-money-routes.ts";
import { priceRoutes, type PriceRouteDeps } from "./price-routes.ts";
import { receiptRoutes, type ReceiptRouteDeps } from "./receipt-routes.ts";
import { statementRoutes, type StatementRouteDeps } from "./statement-routes.ts";
import { voucherRoutes, type VoucherRouteDeps } from "./voucher-routes.ts";

export interface OperationRouteDeps extends DisputeRouteDeps, OperatorMoneyDeps, OperatorDisputeDeps {}

export interface BillingRouteDeps
  extends
    ReceiptRouteDeps,
    StatementRouteDeps,
    VoucherRouteDeps,
    AlertRouteDeps,
    BonusRouteDeps,
    PriceRouteDeps,
    OperationRouteDeps {
  readonly readBalance: (accountId: AccountId) => Promise<BalanceView>;
  readonly usage: UsageStore;
  readonly prices: PriceStore;
  readonly readActs: ReadActs;
}

const read = { method: "GET", rateClass: "read", bodyLimitBytes: 0, logClass: "standard" } as const;
const own = { ...read, auth: "session", owner: "account" } as const;

/** The account's own money, under /api/billing. */
export function billingRoutes(deps: BillingRouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...own,
      operationId: "getBalance",
      path: "/api/billing/balance",
      summary: "The committed balance; zeros for an account that never had money",
      request: {},
      responses: { 200: balanceResponse },
      errors: [],
      handler: async ({ principal }) => ({
        status: 200,
        body: toApiBalance(await deps.readBalance(principal.accountId)),
      }),
    }),
    defineRoute({
      ...own,
      operationId: "listUsage",
      path: "/api/billing/usage",
      summary: "Requests and their charges, newest first",
      request: { query: usageQuery },
      responses: { 200: usageList },
      errors: ["invalid_cursor"],
      handler: async ({ principal, query }) => {
        const before = query.cursor === undefined ? undefined : fromApiCursor(query.cursor);
        if (query.cursor !== undefined && before === undefined)
          throw appError("invalid_cursor", "The page cursor is not valid.");
        const page = await deps.usage.page(principal.accountId, query.limit, before);
        const nextCursor = page.next === null ? null : toApiCursor(page.next);
        return { status: 200, body: { usage: page.lines, nextCursor } };
      },
    }),
    ...receiptRoutes(deps),
    ...statementRoutes(deps),
    ...voucherRoutes(deps),
    ...alertRoutes(deps),
    ...bonusRoutes(deps),
    ...priceRoutes(deps),
    defineRoute({
      ...read,
      auth: "public",
      owner: "none",
      operationId: "listPrices",
      path: "/api/billing/prices",
      summary: "The price version in force",
      request: {},
      responses: { 200: priceList },
      errors: ["service_unavailable"],
      handler: async () => {
        const version = await deps.prices.currentVersion();
        const book = version === undefined ? undefined : await deps.prices.byVersion(version);
        if (!book) throw appError("service_unavailable", "No prices are published yet.", { retryAfterSeconds: 5 });
        return { status: 200, body: toApiPrices(book) };
      },
    }),
    ...disputeRoutes(deps),
    ...operatorMoneyRoutes(deps),
    ...operatorDisputeRoutes(deps),
    ...auditRoutes({
      prefix: "/api/billing",
      about: "money",
      name: "Money",
      readActs: (filter, limit) => deps.readActs(filter, limit),
    }),
  ];
}
