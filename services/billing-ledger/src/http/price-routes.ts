import { createHash } from "node:crypto";
import {
  accountPriceGroup,
  accountPriceGroupBody,
  idOf,
  priceFile,
  pricePreview,
  pricePreviewBody,
  priceVersion,
  priceVersionCancelBody,
  priceVersionHead,
  priceVersionList,
  priceVersionMade,
  priceVersionQuery,
  rolesWith,
  type PriceFile,
} from "@codex/contracts";
import { appError, bodyLimitBytesMax, defineRoute, notFound, type Route } from "@codex/http";
import type { AccountId } from "@codex/kernel";
import { z } from "zod";
import type { ImportOptions, ImportOutcome } from "../app/import-prices.ts";
import type { PreviewAsk, PreviewOutcome } from "../app/preview-prices.ts";
import type { PriceVersionStore } from "../app/price-ports.ts";
import type { GroupAsk, GroupOutcome } from "../app/set-price-group.ts";
import { canonicalPrices } from "../domain/price-list.ts";
import { toApiPreview, toApiVersion, toApiVersionHead } from "./price-convert.ts";

export interface PriceRouteDeps {
  readonly priceVersions: Pick<PriceVersionStore, "list" | "head" | "byVersion" | "cancel">;
  readonly importPrices: (models: PriceFile["models"], options: ImportOptions) => Promise<ImportOutcome>;
  readonly previewPrices: (ask: PreviewAsk, signal: AbortSignal) => Promise<PreviewOutcome | "busy">;
  readonly setPriceGroup: (ask: GroupAsk) => Promise<GroupOutcome>;
}

const operator = { auth: "operator", owner: "none", logClass: "standard" } as const;
const read = {
  ...operator,
  roles: rolesWith("prices.read"),
  method: "GET",
  rateClass: "read",
  bodyLimitBytes: 0,
} as const;
const write = { ...operator, roles: rolesWith("prices.write"), method: "POST", rateClass: "write" } as const;

const versionPath = z.strictObject({ version: idOf("prc") });

/** Price versions and groups, for operators, under /api/billing/operator. */
export function priceRoutes(deps: PriceRouteDeps): readonly Route[] {
  return [...readRoutes(deps), makeRoute(deps), cancelRoute(deps), previewRoute(deps), groupRoute(deps)];
}

function readRoutes(deps: PriceRouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...read,
      operationId: "listPriceVersions",
      path: "/api/billing/operator/price-versions",
      summary: "Price versions with their state, the latest effective time first",
      request: { query: priceVersionQuery },
      responses: { 200: priceVersionList },
      errors: [],
      handler: async ({ query }) => {
        const versions = await deps.priceVersions.list(query.limit + 1, query.cursor);
        const page = versions.slice(0, query.limit);
        const nextCursor = versions.length > query.limit ? (page.at(-1)?.version ?? null) : null;
        return { status: 200, body: { versions: page.map(toApiVersionHead), nextCursor } };
      },
    }),
    defineRoute({
      ...read,
      operationId: "getPriceVersion",
      path: "/api/billing/operator/price-versions/:version",
      summary: "One price version with all its prices",
      request: { params: versionPath },
      responses: { 200: priceVersion },
      errors: ["not_found"],
      handler: async ({ params }) => {
        const head = await deps.priceVersions.head(params.version);
        const book = head && (await deps.priceVersions.byVersion(params.version));
        if (!head || !book) throw notFound();
        return { status: 200, body: toApiVersion(head, book) };
      },
    }),
  ];
}

function makeRoute(deps: PriceRouteDeps): Route {
  return defineRoute({
    ...write,
    bodyLimitBytes: bodyLimitBytesMax,
    operationId: "createPriceVersion",
    path: "/api/billing/operator/price-versions",
    summary: "Make a list the version in force, now or at a given time; the header Idempotency-Key is required",
    request: { body: priceFile },
    responses: { 200: priceVersionMade, 201: priceVersionMade },
    errors: ["idempotency_key_reused"],
    handler: async ({ principal, body, req }) => {
      const key = idempotencyKeyOf(req.headers["idempotency-key"]);
      const { models, groups, effectiveAt = null } = body;
      const input = `${effectiveAt ?? "now"} ${canonicalPrices(models, groups)}`;
      const made = await deps.importPrices(models, {
        groups,
        effectiveAt: effectiveAt === null ? undefined : new Date(effectiveAt),
        createdBy: principal.accountId,
        command: {
          key: `price_version:${principal.accountId}:${key}`,
          inputHash: createHash("sha256").update(input).digest(),
        },
      });
      if (!made.ok) throw refusalOf(made);
      return {
        status: made.created ? 201 : 200,
        headers: made.replayed ? { "idempotency-replayed": "true" } : {},
        body: { version: made.version, effectiveAt: made.effectiveAt.toISOString(), created: made.created },
      };
    },
  });
}

function refusalOf({ refused, problems }: Extract<ImportOutcome, { ok: false }>): Error {
  if (refused === "key_reused") {
    return appError("idempotency_key_reused", "This Idempotency-Key was used for another list.");
  }
  return invalid(problems);
}

const problemsTold = 20;

function invalid(problems: readonly string[]): Error {
  const told = problems.slice(0, problemsTold).join("; ").slice(0, 2_000);
  return appError("invalid_request", `The price list cannot be used: ${told}.`);
}

/** Visible ASCII, so that logs and databases hold it as it came. */
function idempotencyKeyOf(header: string | string[] | undefined): string {
  if (typeof header === "string" && /^[\x21-\x7e]{8,128}$/.test(header)) return header;
  throw appError("invalid_request", "The header Idempotency-Key is required: 8 to 128 visible ASCII characters.");
}

function cancelRoute(deps: PriceRouteDeps): Route {
  return defineRoute({
    ...write,
    bodyLimitBytes: 4_096,
    operationId: "cancelPriceVersion",
    path: "/api/billing/operator/price-versions/:version/cancel",
    summary: "Take back a scheduled version before it is in force; safe to repeat",
    request: { params: versionPath, body: priceVersionCancelBody },
    responses: { 200: priceVersionHead },
    errors: ["not_found", "conflict"],
    handler: async ({ principal, params, body }) => {
      const outcome = await deps.priceVersions.cancel(params.version, principal.accountId, body.reason);
      if (outcome === "in_force") {
        throw appError("conflict", "The version is or was in force. Make another one instead.");
      }
      const head = await deps.priceVersions.head(params.version);
      if (!head) throw notFound();
      return { status: 200, body: toApiVersionHead(head) };
    },
  });
}

function previewRoute(deps: PriceRouteDeps): Route {
  return defineRoute({
    ...write,
    bodyLimitBytes: bodyLimitBytesMax,
    operationId: "previewPriceVersion",
    path: "/api/billing/operator/price-versions/preview",
    summary: "What a list would have made of past usage, yesterday's when no time is given; writes nothing",
    request: { body: pricePreviewBody },
    responses: { 200: pricePreview },
    errors: ["overloaded"],
    handler: async ({ body, signal }) => {
      const { models, groups, from, to } = body;
      if ((from === undefined) !== (to === undefined)) throw invalid(["from and to belong together"]);
      const range = from === undefined || to === undefined ? undefined : { from: new Date(from), to: new Date(to) };
      const outcome = await deps.previewPrices({ models, groups, range }, signal);
      if (outcome === "busy") {
        throw appError("overloaded", "Another preview is running. Please try again shortly.", {
          retryAfterSeconds: 20,
        });
      }
      if (!outcome.ok) throw invalid(outcome.problems);
      return { status: 200, body: toApiPreview(outcome.preview) };
    },
  });
}

function groupRoute(deps: PriceRouteDeps): Route {
  return defineRoute({
    ...write,
    bodyLimitBytes: 4_096,
    operationId: "setAccountPriceGroup",
    path: "/api/billing/operator/accounts/:accountId/price-group",
    summary: "Put an account into a price group; leases granted from then on follow; safe to repeat",
    request: { params: z.strictObject({ accountId: idOf("acc") }), body: accountPriceGroupBody },
    responses: { 200: accountPriceGroup },
    errors: [],
    handler: async ({ principal, params, body }) => {
      const accountId: AccountId = params.accountId;
      const outcome = await deps.setPriceGroup({ actor: principal.accountId, accountId, ...body });
      if (outcome.ok) return { status: 200, body: { accountId, before: outcome.before, group: body.group } };
      if (outcome.refused === "own_account") {
        throw appError("forbidden", "Operators do not decide about their own account.");
      }
      throw appError("invalid_request", "No such group in the price version in force or the next one.");
    },
  });
}
