import { balanceResponse, idOf, priceList, usageList, usageQuery, usageReceipt } from "@codex/contracts";
import { appError, defineRoute, notFound, type Route } from "@codex/http";
import type { AccountId, RequestId } from "@codex/kernel";
import { z } from "zod";
import type { PriceStore, UsageStore } from "../app/ports.ts";
import type { BalanceView } from "../app/read-balance.ts";
import type { Receipt } from "../app/read-receipt.ts";
import { fromApiCursor, toApiBalance, toApiCursor, toApiPrices, toApiReceipt } from "./convert.ts";

export interface BillingRouteDeps {
  readonly readBalance: (accountId: AccountId) => Promise<BalanceView>;
  readonly readReceipt: (accountId: AccountId, requestId: RequestId) => Promise<Receipt | undefined>;
  readonly usage: UsageStore;
  readonly prices: PriceStore;
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
    defineRoute({
      ...own,
      operationId: "getReceipt",
      path: "/api/billing/usage/:requestId",
      summary: "How the charge of one request came about",
      request: { params: z.strictObject({ requestId: idOf("req") }) },
      responses: { 200: usageReceipt },
      errors: ["not_found"],
      handler: async ({ principal, params }) => {
        const receipt = await deps.readReceipt(principal.accountId, params.requestId);
        if (!receipt) throw notFound();
        return { status: 200, body: toApiReceipt(receipt) };
      },
    }),
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
  ];
}
