import {
  adjustmentBody,
  adjustmentPreview,
  adjustmentResult,
  decisionBody,
  decisionResult,
  idOf,
  operatorActList,
  operatorActQuery,
  proposalList,
  proposalQuery,
  refundBody,
  refundResult,
  rolesWith,
} from "@codex/contracts";
import { defineRoute, type Route } from "@codex/http";
import type { AccountId, MicroTokens, ProposalId } from "@codex/kernel";
import { z } from "zod";
import type { AdjustRequest } from "../app/adjust-account.ts";
import type { Adjusted, Decided, OperationsStore, Outcome, Proposed, Refunded } from "../app/operations-ports.ts";
import type { RefundRequest } from "../app/refund-usage.ts";
import type { AdjustmentPreview } from "../domain/adjustment.ts";
import { fromIdCursor, toCursor } from "./page-cursor.ts";
import { accepted } from "./refusal.ts";

export interface OperatorMoneyDeps {
  readonly adjustAccount: (
    actor: AccountId,
    request: AdjustRequest,
    key: string,
  ) => Promise<Outcome<Adjusted | Proposed>>;
  readonly previewAdjustment: (
    actor: AccountId,
    request: Pick<AdjustRequest, "accountId" | "bucket" | "amount">,
  ) => Promise<AdjustmentPreview>;
  readonly refundUsage: (
    actor: AccountId,
    request: RefundRequest,
    key: string,
  ) => Promise<Outcome<Refunded | Proposed>>;
  readonly decideProposal: (
    actor: AccountId,
    decision: { readonly proposalId: ProposalId; readonly approve: boolean; readonly reason: string },
    key: string,
  ) => Promise<Outcome<Decided>>;
  readonly operations: Pick<OperationsStore, "proposals" | "acts">;
}

/** Of everything that moves money. */
const moneyRoles = rolesWith("money.move");
const operator = { auth: "operator", roles: moneyRoles, owner: "none", logClass: "standard" } as const;
const read = { ...operator, method: "GET", rateClass: "read", bodyLimitBytes: 0 } as const;
const write = { ...operator, method: "POST", rateClass: "write", bodyLimitBytes: 16_384 } as const;
const command = { ...write, idempotent: true } as const;

/** Corrections, refunds, the second pair of eyes and the audit log, under /api/billing/operator. */
export function operatorMoneyRoutes(deps: OperatorMoneyDeps): readonly Route[] {
  return [...adjustmentRoutes(deps), ...decisionRoutes(deps), ...listRoutes(deps)];
}

function adjustmentRoutes(deps: OperatorMoneyDeps): readonly Route[] {
  return [
    defineRoute({
      ...command,
      operationId: "adjustAccount",
      path: "/api/billing/operator/adjustments",
      summary: "Correct a balance by hand; above the limit of one operator (24 h, one account) it becomes a proposal",
      request: { body: adjustmentBody },
      responses: { 201: adjustmentResult, 202: adjustmentResult },
      errors: ["own_account", "insufficient_balance"],
      handler: async ({ principal, body, idempotencyKey }) => {
        const { value, headers } = accepted(await deps.adjustAccount(principal.accountId, body, idempotencyKey));
        if (value.outcome === "proposed") return { status: 202, headers, body: toApiProposed(value) };
        return { status: 201, headers, body: value };
      },
    }),
    defineRoute({
      ...write,
      operationId: "previewAdjustment",
      path: "/api/billing/operator/adjustments/preview",
      summary: "The balance before and after, without writing anything",
      request: { body: adjustmentBody },
      responses: { 200: adjustmentPreview },
      errors: [],
      handler: async ({ principal, body }) => ({
        status: 200,
        body: await deps.previewAdjustment(principal.accountId, body),
      }),
    }),
    defineRoute({
      ...command,
      operationId: "refundUsage",
      path: "/api/billing/operator/usage/:requestId/refunds",
      summary: "Give back a part or the whole of one charge; all refunds of a request never exceed it",
      request: { params: z.strictObject({ requestId: idOf("req") }), body: refundBody },
      responses: { 201: refundResult, 202: refundResult },
      errors: ["own_account", "refund_exceeds_charge", "not_found"],
      handler: async ({ principal, params, body, idempotencyKey }) => {
        const request = { ...body, requestId: params.requestId, amount: fromApiRefundAmount(body.amount) };
        const { value, headers } = accepted(await deps.refundUsage(principal.accountId, request, idempotencyKey));
        if (value.outcome === "proposed") return { status: 202, headers, body: toApiProposed(value) };
        return { status: 201, headers, body: value };
      },
    }),
  ];
}

function decisionRoutes(deps: OperatorMoneyDeps): readonly Route[] {
  const decide = (approve: boolean, operationId: string, path: string, summary: string): Route =>
    defineRoute({
      ...command,
      operationId,
      path,
      summary,
      request: { params: z.strictObject({ proposalId: idOf("ppl") }), body: decisionBody },
      responses: { 200: decisionResult },
      errors: [
        "own_account",
        "second_operator_required",
        "proposal_decided",
        "insufficient_balance",
        "refund_exceeds_charge",
        "dispute_closed",
        "not_found",
      ],
      handler: async ({ principal, params, body, idempotencyKey }) => {
        const decision = { ...params, ...body, approve };
        const { value, headers } = accepted(await deps.decideProposal(principal.accountId, decision, idempotencyKey));
        const { proposalId, transferId } = value;
        const answer =
          transferId === null ? { outcome: "rejected", proposalId } : { outcome: "approved", proposalId, transferId };
        return { status: 200, headers, body: answer };
      },
    });
  const path = "/api/billing/operator/proposals/:proposalId";
  return [
    decide(true, "approveProposal", `${path}/approve`, "Do what another operator proposed"),
    decide(false, "rejectProposal", `${path}/reject`, "End what another operator proposed; nothing moves"),
  ];
}

function listRoutes(deps: OperatorMoneyDeps): readonly Route[] {
  return [
    defineRoute({
      ...read,
      operationId: "listProposals",
      path: "/api/billing/operator/proposals",
      summary: "Operations above the limit of one operator, newest first",
      request: { query: proposalQuery },
      responses: { 200: proposalList },
      errors: ["invalid_cursor"],
      handler: async ({ query }) => {
        const before = fromIdCursor("ppl", query.cursor);
        const page = await deps.operations.proposals(query.state, query.limit, before);
        const nextCursor = page.next === null ? null : toCursor(page.next.proposalId);
        return { status: 200, body: { proposals: page.items, nextCursor } };
      },
    }),
    defineRoute({
      ...read,
      operationId: "listOperatorActs",
      path: "/api/billing/operator/acts",
      summary: "Who did what to whom, why, and the balance before and after; newest first",
      request: { query: operatorActQuery },
      responses: { 200: operatorActList },
      errors: ["invalid_cursor"],
      handler: async ({ query }) => {
        const before = fromIdCursor("act", query.cursor);
        const page = await deps.operations.acts(query.accountId, query.limit, before);
        const nextCursor = page.next === null ? null : toCursor(page.next.actId);
        return { status: 200, body: { acts: page.items, nextCursor } };
      },
    }),
  ];
}

/** "full" is whatever is left, which the ledger knows. */
export function fromApiRefundAmount(amount: "full" | MicroTokens): MicroTokens | null {
  return amount === "full" ? null : amount;
}

export function toApiProposed(value: Proposed): Omit<Proposed, "expiresAt"> & { readonly expiresAt: string } {
  return { ...value, expiresAt: value.expiresAt.toISOString() };
}
