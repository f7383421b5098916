import {
  exportDaysMax,
  exportQuery,
  idOf,
  monthlyStatement,
  statementPage,
  statementQuery,
  usageList,
  usageQuery,
} from "@codex/contracts";
import { appError, defineRoute, InvalidRequestError, notFound, type Route } from "@codex/http";
import type { AccountId } from "@codex/kernel";
import { z } from "zod";
import { exportStatement, exportUsage, type ExportAsk } from "../app/export-csv.ts";
import type { MonthlyStatement } from "../app/read-monthly-statement.ts";
import { readStatement } from "../app/read-statement.ts";
import type { StatementStore, UsageExportStore } from "../app/statement-ports.ts";
import { fromApiCursor, toApiCursor } from "./convert.ts";
import { fromApiPosition, toApiMonthlyStatement, toApiPosition, toApiStatementLine } from "./statement-convert.ts";

export interface StatementRouteDeps {
  readonly statements: StatementStore;
  readonly usageExport: UsageExportStore;
  readonly readMonthlyStatement: (accountId: AccountId, month: string) => Promise<MonthlyStatement | undefined>;
}

const own = {
  method: "GET",
  auth: "session",
  owner: "account",
  rateClass: "read",
  bodyLimitBytes: 0,
  logClass: "standard",
} as const;
const csv = { responses: { 200: null }, media: { 200: "text/csv; charset=utf-8" } } as const;
const dayMs = 86_400_000;

/** What moved the account's money: pages, months, exports. */
export function statementRoutes(deps: StatementRouteDeps): readonly Route[] {
  return [pageRoute(deps), monthRoute(deps), movementUsageRoute(deps), ...exportRoutes(deps)];
}

function pageRoute(deps: StatementRouteDeps): Route {
  return defineRoute({
    ...own,
    operationId: "readStatement",
    path: "/api/billing/statement",
    summary: "Every movement of the account's money with the balances after it, newest first",
    request: { query: statementQuery },
    responses: { 200: statementPage },
    errors: ["invalid_cursor"],
    handler: async ({ principal, query }) => {
      const [from, to] = [dateOf(query.from), dateOf(query.to)];
      if (from && to) assertOrder(from, to);
      const after = query.cursor === undefined ? undefined : fromApiPosition(query.cursor);
      if (query.cursor !== undefined && after === undefined) throw badCursor();
      const page = await readStatement(deps.statements, principal.accountId, { from, to, limit: query.limit, after });
      if (page === "bad_cursor") throw badCursor();
      const nextCursor = page.next === null ? null : toApiPosition(page.next);
      return { status: 200, body: { lines: page.lines.map(toApiStatementLine), nextCursor } };
    },
  });
}

function monthRoute(deps: StatementRouteDeps): Route {
  return defineRoute({
    ...own,
    operationId: "readMonthlyStatement",
    path: "/api/billing/statements/:month",
    summary: "One month of UTC: opening balance, sums by kind, closing balance",
    request: { params: z.strictObject({ month: z.string().regex(/^20\d{2}-(0[1-9]|1[0-2])$/) }) },
    responses: { 200: monthlyStatement },
    errors: ["not_found"],
    handler: async ({ principal, params }) => {
      const statement = await deps.readMonthlyStatement(principal.accountId, params.month);
      if (!statement) throw notFound();
      return { status: 200, body: toApiMonthlyStatement(params.month, statement) };
    },
  });
}

function movementUsageRoute(deps: StatementRouteDeps): Route {
  return defineRoute({
    ...own,
    operationId: "listMovementUsage",
    path: "/api/billing/statement/:transferId/usage",
    summary: "The requests that a usage movement stands for, newest first",
    request: { params: z.strictObject({ transferId: idOf("trf") }), query: usageQuery },
    responses: { 200: usageList },
    errors: ["not_found", "invalid_cursor"],
    handler: async ({ principal, params, query }) => {
      const before = query.cursor === undefined ? undefined : fromApiCursor(query.cursor);
      if (query.cursor !== undefined && before === undefined) throw badCursor();
      const part = await deps.usageExport.ofTransfer(principal.accountId, params.transferId, query.limit, before);
      if (!part) throw notFound();
      const nextCursor = part.next === null ? null : toApiCursor(part.next);
      return { status: 200, body: { usage: part.lines, nextCursor } };
    },
  });
}

function exportRoutes(deps: StatementRouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...own,
      ...csv,
      operationId: "exportStatement",
      path: "/api/billing/statement.csv",
      summary: "The statement of a period as CSV, newest first",
      request: { query: exportQuery },
      errors: [],
      handler: async ({ principal, query }) => {
        const ask = exportAskOf(query);
        return await download("statement", ask, exportStatement(deps.statements, principal.accountId, ask));
      },
    }),
    defineRoute({
      ...own,
      ...csv,
      operationId: "exportUsage",
      path: "/api/billing/usage.csv",
      summary: "The requests of a period as CSV, newest first",
      request: { query: exportQuery },
      errors: [],
      handler: async ({ principal, query }) => {
        const ask = exportAskOf(query);
        return await download("usage", ask, exportUsage(deps.usageExport, principal.accountId, ask));
      },
    }),
  ];
}

/** The first piece is had before anything is sent, so that a database that is away is a 503 and not a broken download. */
async function download(
  name: string,
  { from, to }: ExportAsk,
  pieces: AsyncGenerator<string>,
): Promise<{ status: number; content: AsyncIterable<string>; headers: Readonly<Record<string, string>> }> {
  const file = `${name}-${from.toISOString().slice(0, 10)}-${to.toISOString().slice(0, 10)}.csv`;
  const first = await pieces.next();
  return {
    status: 200,
    content: first.done === true ? pieces : resumed(first.value, pieces),
    headers: { "content-disposition": `attachment; filename="${file}"` },
  };
}

async function* resumed(first: string, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  yield first;
  yield* rest;
}

function exportAskOf(query: { readonly from: string; readonly to: string }): ExportAsk {
  const [from, to] = [new Date(query.from), new Date(query.to)];
  assertOrder(from, to);
  if (to.getTime() - from.getTime() > exportDaysMax * dayMs) {
    throw new InvalidRequestError([
      { pointer: "/to", message: `query parameter: at most ${String(exportDaysMax)} days after from` },
    ]);
  }
  return { from, to };
}

function assertOrder(from: Date, to: Date): void {
  if (from.getTime() >= to.getTime()) {
    throw new InvalidRequestError([{ pointer: "/from", message: "query parameter: must be before to" }]);
  }
}

function dateOf(instant: string | undefined): Date | undefined {
  return instant === undefined ? undefined : new Date(instant);
}

function badCursor(): Error {
  return appError("invalid_cursor", "The page cursor is not valid.");
}
