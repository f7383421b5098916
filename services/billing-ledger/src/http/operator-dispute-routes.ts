import {
  disputeClaimBody,
  disputeMessageBody,
  disputeQueue,
  disputeQueueQuery,
  disputeResolveBody,
  disputeResolveResult,
  idOf,
  operatorDisputeDetail,
  rolesWith,
  type operatorDispute,
} from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import type { AccountId, Clock, DisputeId, MicroTokens } from "@codex/kernel";
import { z } from "zod";
import type { Dispute } from "../app/dispute-ports.ts";
import type { Outcome, Proposed, Refunded } from "../app/operations-ports.ts";
import type { UsageStore } from "../app/ports.ts";
import { toApiDispute, toApiEvent, type DisputeRouteDeps } from "./dispute-routes.ts";
import { fromApiRefundAmount, toApiProposed } from "./operator-money-routes.ts";
import { fromDueCursor, toCursor } from "./page-cursor.ts";
import { accepted } from "./refusal.ts";

export interface OperatorDisputeDeps extends Pick<DisputeRouteDeps, "disputes"> {
  readonly assignDispute: (
    actor: AccountId,
    ask: { readonly disputeId: DisputeId; readonly claim: boolean; readonly takeOver: boolean },
    key: string,
  ) => Promise<Outcome<DisputeId>>;
  readonly messageDispute: (
    actor: AccountId,
    ask: { readonly disputeId: DisputeId; readonly text: string },
    key: string,
  ) => Promise<Outcome<DisputeId>>;
  readonly resolveDispute: (
    actor: AccountId,
    ask: {
      readonly disputeId: DisputeId;
      readonly outcome: "refund" | "rejected";
      readonly amount: MicroTokens | null;
      readonly reason: string;
      readonly ticket: string;
    },
    key: string,
  ) => Promise<Outcome<Refunded | Proposed | { readonly outcome: "rejected" }>>;
  readonly usage: Pick<UsageStore, "find">;
  readonly clock: Clock;
}

const operator = { auth: "operator", owner: "none", logClass: "standard" } as const;
const support = { ...operator, roles: rolesWith("disputes.handle") } as const;
const read = { ...support, method: "GET", rateClass: "read", bodyLimitBytes: 0 } as const;
const write = { method: "POST", rateClass: "write", bodyLimitBytes: 16_384, idempotent: true } as const;
const params = z.strictObject({ disputeId: idOf("dsp") });
const path = "/api/billing/operator/disputes";

/** The operators' side of disputes: metadata of the request, never its content, because none is stored. */
export function operatorDisputeRoutes(deps: OperatorDisputeDeps): readonly Route[] {
  return [...readRoutes(deps), ...handlingRoutes(deps), resolveRoute(deps)];
}

/** The dispute, its request and its timeline, as every answer of this side shows it. */
async function detailOf(deps: OperatorDisputeDeps, disputeId: DisputeId): Promise<Record<string, unknown>> {
  const found = await deps.disputes.find(disputeId);
  if (!found) throw notFound();
  const [events, posted] = await Promise.all([
    deps.disputes.events(disputeId),
    deps.usage.find(found.accountId, found.requestId),
  ]);
  return {
    dispute: toApiOperatorDispute(found, deps.clock.now()),
    usage: posted?.line ?? null,
    events: events.map((event) => ({ ...toApiEvent(event), actorId: event.actorId })),
  };
}

function readRoutes(deps: OperatorDisputeDeps): readonly Route[] {
  return [
    defineRoute({
      ...read,
      operationId: "listDisputeQueue",
      path,
      summary: "Disputes by due date, the most urgent first",
      request: { query: disputeQueueQuery },
      responses: { 200: disputeQueue },
      errors: ["invalid_cursor"],
      handler: async ({ principal, query }) => {
        const after = fromDueCursor("dsp", query.cursor);
        const assignee = { me: principal.accountId, none: null, any: undefined }[query.assignee];
        const page = await deps.disputes.queue({
          state: query.state,
          assignee,
          limit: query.limit,
          after: after && { dueAt: after.dueAt, disputeId: after.id },
        });
        const now = deps.clock.now();
        const nextCursor = page.next === null ? null : toCursor(page.next.dueAt.toISOString(), page.next.disputeId);
        const disputes = page.items.map((dispute) => toApiOperatorDispute(dispute, now));
        return { status: 200, body: { disputes, nextCursor } };
      },
    }),
    defineRoute({
      ...read,
      operationId: "getDisputeForOperator",
      path: `${path}/:disputeId`,
      summary: "A dispute with the booked facts of its request and its timeline",
      request: { params },
      responses: { 200: operatorDisputeDetail },
      errors: ["not_found"],
      handler: async ({ params: { disputeId } }) => ({ status: 200, body: await detailOf(deps, disputeId) }),
    }),
  ];
}

function handlingRoutes(deps: OperatorDisputeDeps): readonly Route[] {
  const errors = ["own_account", "dispute_closed", "dispute_assigned", "not_found"];
  const shared = { ...support, ...write, responses: { 200: operatorDisputeDetail }, errors };
  return [
    defineRoute({
      ...shared,
      operationId: "claimDispute",
      path: `${path}/:disputeId/claim`,
      summary: "Take a dispute; with takeOver also from another operator",
      request: { params, body: disputeClaimBody },
      handler: async ({ principal, params: { disputeId }, body, idempotencyKey }) => {
        const ask = { disputeId, claim: true, takeOver: body.takeOver };
        const { headers } = accepted(await deps.assignDispute(principal.accountId, ask, idempotencyKey));
        return { status: 200, headers, body: await detailOf(deps, disputeId) };
      },
    }),
    defineRoute({
      ...shared,
      operationId: "releaseDispute",
      path: `${path}/:disputeId/release`,
      summary: "Give a dispute back to the queue",
      request: { params },
      handler: async ({ principal, params: { disputeId }, idempotencyKey }) => {
        const ask = { disputeId, claim: false, takeOver: false };
        const { headers } = accepted(await deps.assignDispute(principal.accountId, ask, idempotencyKey));
        return { status: 200, headers, body: await detailOf(deps, disputeId) };
      },
    }),
    defineRoute({
      ...shared,
      operationId: "messageDispute",
      path: `${path}/:disputeId/messages`,
      summary: "Write to the user; it stands in the timeline of both",
      request: { params, body: disputeMessageBody },
      handler: async ({ principal, params: { disputeId }, body, idempotencyKey }) => {
        const ask = { disputeId, text: body.text };
        const { headers } = accepted(await deps.messageDispute(principal.accountId, ask, idempotencyKey));
        return { status: 200, headers, body: await detailOf(deps, disputeId) };
      },
    }),
  ];
}

function resolveRoute(deps: OperatorDisputeDeps): Route {
  return defineRoute({
    ...operator,
    ...write,
    roles: rolesWith("disputes.resolve"),
    operationId: "resolveDispute",
    path: `${path}/:disputeId/resolve`,
    summary: "Give money back, or reject; a refund above the limit waits for a second operator",
    request: { params, body: disputeResolveBody },
    responses: { 200: disputeResolveResult, 202: disputeResolveResult },
    errors: ["own_account", "dispute_closed", "refund_exceeds_charge", "conflict", "not_found"],
    handler: async ({ principal, params: { disputeId }, body, idempotencyKey }) => {
      const amount = body.outcome === "refund" ? fromApiRefundAmount(body.amount) : null;
      const ask = { disputeId, outcome: body.outcome, amount, reason: body.reason, ticket: body.ticket };
      const { value, headers } = accepted(await deps.resolveDispute(principal.accountId, ask, idempotencyKey));
      if (value.outcome === "proposed") return { status: 202, headers, body: toApiProposed(value) };
      if (value.outcome === "rejected") return { status: 200, headers, body: value };
      return { status: 200, headers, body: { ...value, outcome: "refunded" } };
    },
  });
}

function toApiOperatorDispute(dispute: Dispute, now: Date): z.infer<typeof operatorDispute> {
  return {
    ...toApiDispute(dispute),
    accountId: dispute.accountId,
    assigneeId: dispute.assigneeId,
    overdue: dispute.state === "open" && dispute.dueAt < now,
  };
}
