import {
  disputeBody,
  disputeDetail,
  disputeList,
  disputeMessageBody,
  disputeQuery,
  disputeResponse,
  idOf,
  type dispute as disputeSchema,
} from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import type { AccountId, DisputeId, RequestId } from "@codex/kernel";
import { z } from "zod";
import type { Dispute, DisputeEvent, DisputeReason, DisputeStore } from "../app/dispute-ports.ts";
import type { Outcome } from "../app/operations-ports.ts";
import { fromIdCursor, toCursor } from "./page-cursor.ts";
import { accepted } from "./refusal.ts";

export interface DisputeRouteDeps {
  readonly openDispute: (
    accountId: AccountId,
    request: { readonly requestId: RequestId; readonly reason: DisputeReason; readonly text: string },
    key: string,
  ) => Promise<Outcome<DisputeId>>;
  readonly withdrawDispute: (accountId: AccountId, disputeId: DisputeId, key: string) => Promise<Outcome<DisputeId>>;
  readonly replyToDispute: (
    accountId: AccountId,
    ask: { readonly disputeId: DisputeId; readonly text: string },
    key: string,
  ) => Promise<Outcome<DisputeId>>;
  readonly disputes: Pick<DisputeStore, "find" | "events" | "ofAccount" | "queue">;
}

const own = { auth: "session", owner: "account", logClass: "standard" } as const;
const read = { ...own, method: "GET", rateClass: "read", bodyLimitBytes: 0 } as const;
const command = { ...own, method: "POST", rateClass: "write", bodyLimitBytes: 16_384, idempotent: true } as const;
const params = z.strictObject({ disputeId: idOf("dsp") });

/** The account's own disputes, under /api/billing/disputes. */
export function disputeRoutes(deps: DisputeRouteDeps): readonly Route[] {
  const tell: Tell = async (accountId, disputeId) => {
    const found = await deps.disputes.find(disputeId, accountId);
    if (!found) throw notFound();
    return { dispute: toApiDispute(found) };
  };
  return [...readRoutes(deps, tell), ...writeRoutes(deps, tell)];
}

/** 404 for a foreign dispute as for a missing one. */
type Tell = (accountId: AccountId, disputeId: DisputeId) => Promise<{ dispute: ApiDispute }>;

function readRoutes(deps: DisputeRouteDeps, tell: Tell): readonly Route[] {
  return [
    defineRoute({
      ...read,
      operationId: "listDisputes",
      path: "/api/billing/disputes",
      summary: "The account's disputes, newest first",
      request: { query: disputeQuery },
      responses: { 200: disputeList },
      errors: ["invalid_cursor"],
      handler: async ({ principal, query }) => {
        const before = fromIdCursor("dsp", query.cursor);
        const page = await deps.disputes.ofAccount(principal.accountId, query.limit, before);
        const nextCursor = page.next === null ? null : toCursor(page.next.disputeId);
        return { status: 200, body: { disputes: page.items.map(toApiDispute), nextCursor } };
      },
    }),
    defineRoute({
      ...read,
      operationId: "getDispute",
      path: "/api/billing/disputes/:disputeId",
      summary: "A dispute and its timeline",
      request: { params },
      responses: { 200: disputeDetail },
      errors: [],
      handler: async ({ principal, params: { disputeId } }) => {
        const told = await tell(principal.accountId, disputeId);
        const events = await deps.disputes.events(disputeId);
        return { status: 200, body: { ...told, events: events.map(toApiEvent) } };
      },
    }),
  ];
}

function writeRoutes(deps: DisputeRouteDeps, tell: Tell): readonly Route[] {
  return [
    defineRoute({
      ...command,
      operationId: "openDispute",
      path: "/api/billing/disputes",
      summary: "Dispute one own request; one dispute a request may be open",
      request: { body: disputeBody },
      responses: { 201: disputeResponse },
      errors: ["not_found", "dispute_open", "dispute_window_closed", "dispute_limit_reached"],
      handler: async ({ principal, body, idempotencyKey }) => {
        const { value, headers } = accepted(await deps.openDispute(principal.accountId, body, idempotencyKey));
        return { status: 201, headers, body: await tell(principal.accountId, value) };
      },
    }),
    defineRoute({
      ...command,
      operationId: "replyToDispute",
      path: "/api/billing/disputes/:disputeId/messages",
      summary: "Write to the operator in an own, open dispute; at most 20 messages of 2,000 characters",
      request: { params, body: disputeMessageBody },
      responses: { 200: disputeResponse },
      errors: ["dispute_closed", "dispute_message_limit"],
      handler: async ({ principal, params: { disputeId }, body, idempotencyKey }) => {
        const ask = { disputeId, text: body.text };
        const { value, headers } = accepted(await deps.replyToDispute(principal.accountId, ask, idempotencyKey));
        return { status: 200, headers, body: await tell(principal.accountId, value) };
      },
    }),
    defineRoute({
      ...command,
      operationId: "withdrawDispute",
      path: "/api/billing/disputes/:disputeId/withdraw",
      summary: "End an own dispute; nothing moves",
      request: { params },
      responses: { 200: disputeResponse },
      errors: ["dispute_closed"],
      handler: async ({ principal, params: { disputeId }, idempotencyKey }) => {
        const { value, headers } = accepted(await deps.withdrawDispute(principal.accountId, disputeId, idempotencyKey));
        return { status: 200, headers, body: await tell(principal.accountId, value) };
      },
    }),
  ];
}

type ApiDispute = z.infer<typeof disputeSchema>;

export function toApiDispute(dispute: Dispute): ApiDispute {
  return {
    disputeId: dispute.disputeId,
    requestId: dispute.requestId,
    reason: dispute.reason,
    state: dispute.state,
    refunded: dispute.refunded,
    transferId: dispute.transferId,
    openedAt: dispute.openedAt.toISOString(),
    dueAt: dispute.dueAt.toISOString(),
    resolvedAt: dispute.resolvedAt === null ? null : dispute.resolvedAt.toISOString(),
  };
}

/** Without the actor: of operators the user sees that it was one. */
export function toApiEvent(event: DisputeEvent): Omit<DisputeEvent, "at" | "actorId"> & { readonly at: string } {
  return { kind: event.kind, by: event.by, text: event.text, amount: event.amount, at: event.at.toISOString() };
}
