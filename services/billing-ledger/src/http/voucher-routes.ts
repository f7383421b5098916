import {
  idOf,
  voucherApproveBody,
  voucherBatchBody,
  voucherBatchCreated,
  voucherBatchList,
  voucherBatchMicroTokensMax,
  voucherBatchQuery,
  voucherBatchResponse,
  rolesWith,
  voucherRedeemBody,
  voucherRedeemed,
  voucherRevokeBody,
} from "@codex/contracts";
import { appError, defineRoute, InvalidRequestError, notFound, type Route } from "@codex/http";
import { parseId, type AccountId, type VoucherBatchId } from "@codex/kernel";
import { z } from "zod";
import type { VoucherBatchAsk } from "../app/manage-vouchers.ts";
import type { RedeemOutcome, VoucherBatch, VoucherStore } from "../app/voucher-ports.ts";

export interface VoucherRouteDeps {
  readonly voucherStore: Pick<VoucherStore, "list">;
  readonly createVoucherBatch: (
    ask: VoucherBatchAsk,
  ) => Promise<{ readonly batch: VoucherBatch; readonly codes: readonly string[] | null } | "conflict">;
  readonly revokeVoucherBatch: (ask: {
    readonly actor: AccountId;
    readonly idempotencyKey: string;
    readonly batchId: VoucherBatchId;
    readonly reason: string;
  }) => Promise<VoucherBatch | "conflict" | "not_found" | "already_revoked">;
  readonly approveVoucherBatch: (ask: {
    readonly actor: AccountId;
    readonly idempotencyKey: string;
    readonly batchId: VoucherBatchId;
    readonly reason: string;
  }) => Promise<VoucherBatch | "conflict" | "not_found" | "own_batch" | "already_revoked" | "already_approved">;
  readonly redeemVoucher: (accountId: AccountId, code: string) => Promise<RedeemOutcome>;
}

const operator = {
  auth: "operator",
  roles: rolesWith("vouchers.manage"),
  owner: "none",
  logClass: "standard",
} as const;

export function voucherRoutes(deps: VoucherRouteDeps): readonly Route[] {
  return [redeemRoute(deps), createRoute(deps), listRoute(deps), approveRoute(deps), revokeRoute(deps)];
}

function redeemRoute(deps: VoucherRouteDeps): Route {
  return defineRoute({
    operationId: "redeemVoucher",
    method: "POST",
    path: "/api/billing/vouchers/redeem",
    summary: "Credit a voucher to the account, once ever; a repeat by the same account answers the same",
    auth: "session",
    // Nothing is looked up by an id of the account's: the code is what is asked for, and has a refusal of its own.
    owner: "none",
    rateClass: "write",
    bodyLimitBytes: 2_048,
    logClass: "standard",
    request: { body: voucherRedeemBody },
    responses: { 200: voucherRedeemed },
    errors: ["voucher_invalid", "voucher_limit_reached", "too_many_attempts"],
    handler: async ({ principal, body }) => {
      const result = await deps.redeemVoucher(principal.accountId, body.code);
      switch (result.outcome) {
        case "throttled":
          throw appError("too_many_attempts", "Too many codes that were not valid. Please try again later.", {
            retryAfterSeconds: result.retryAfterSeconds,
          });
        case "invalid":
          throw appError("voucher_invalid", "This voucher code is not valid.");
        case "limit_reached":
          throw appError("voucher_limit_reached", "Your account has redeemed as many of these vouchers as it may.");
        case "redeemed":
        case "replayed": {
          const { transferId, bucket, amount, outcome } = result;
          return { status: 200, body: { transferId, bucket, amount, replayed: outcome === "replayed" } };
        }
      }
    },
  });
}

function createRoute(deps: VoucherRouteDeps): Route {
  return defineRoute({
    ...operator,
    operationId: "createVoucherBatch",
    method: "POST",
    path: "/api/billing/operator/voucher-batches",
    summary:
      "Make a batch of vouchers; the codes are in this answer and nowhere else. Above the limit they wait for an approval",
    rateClass: "write",
    idempotent: true,
    bodyLimitBytes: 8_192,
    request: { body: voucherBatchBody },
    responses: { 201: voucherBatchCreated, 200: voucherBatchCreated },
    errors: [],
    handler: async ({ principal, body, idempotencyKey }) => {
      if (body.amount * BigInt(body.count) > voucherBatchMicroTokensMax)
        throw new InvalidRequestError([{ pointer: "/count", message: "the batch is worth more than one may be" }]);
      const created = await deps.createVoucherBatch({
        ...body,
        expiresAt: body.expiresAt === null ? null : new Date(body.expiresAt),
        actor: principal.accountId,
        idempotencyKey,
      });
      if (created === "conflict") throw keyReused();
      const { batch, codes } = created;
      return { status: codes === null ? 200 : 201, body: { batch: toApiBatch(batch), codes: codes && [...codes] } };
    },
  });
}

function listRoute(deps: VoucherRouteDeps): Route {
  return defineRoute({
    ...operator,
    operationId: "listVoucherBatches",
    method: "GET",
    path: "/api/billing/operator/voucher-batches",
    summary: "Batches of vouchers with how many were redeemed, newest first",
    rateClass: "read",
    bodyLimitBytes: 0,
    request: { query: voucherBatchQuery },
    responses: { 200: voucherBatchList },
    errors: ["invalid_cursor"],
    handler: async ({ query }) => {
      const before = query.cursor === undefined ? undefined : parseId("vcb", query.cursor);
      if (query.cursor !== undefined && before === undefined)
        throw appError("invalid_cursor", "The page cursor is not valid.");
      const found = await deps.voucherStore.list(query.limit + 1, before);
      const batches = found.slice(0, query.limit);
      const nextCursor = found.length > query.limit ? (batches.at(-1)?.batchId ?? null) : null;
      return { status: 200, body: { batches: batches.map(toApiBatch), nextCursor } };
    },
  });
}

function approveRoute(deps: VoucherRouteDeps): Route {
  return defineRoute({
    ...operator,
    operationId: "approveVoucherBatch",
    method: "POST",
    path: "/api/billing/operator/voucher-batches/:batchId/approve",
    summary: "Let the codes of another operator's batch be paid; to refuse, revoke it",
    rateClass: "write",
    idempotent: true,
    bodyLimitBytes: 4_096,
    request: { params: z.strictObject({ batchId: idOf("vcb") }), body: voucherApproveBody },
    responses: { 200: voucherBatchResponse },
    errors: ["not_found", "conflict", "second_operator_required"],
    handler: async ({ principal, params, body, idempotencyKey }) => {
      const approved = await deps.approveVoucherBatch({
        actor: principal.accountId,
        idempotencyKey,
        batchId: params.batchId,
        reason: body.reason,
      });
      switch (approved) {
        case "not_found":
          throw notFound();
        case "conflict":
          throw keyReused();
        case "own_batch":
          throw appError("second_operator_required", "The batch is your own; another operator must approve it.");
        case "already_revoked":
          throw appError("conflict", "The batch was revoked before.");
        case "already_approved":
          throw appError("conflict", "The batch needs no approval, or has it already.");
        default:
          return { status: 200, body: { batch: toApiBatch(approved) } };
      }
    },
  });
}

function revokeRoute(deps: VoucherRouteDeps): Route {
  return defineRoute({
    ...operator,
    operationId: "revokeVoucherBatch",
    method: "POST",
    path: "/api/billing/operator/voucher-batches/:batchId/revoke",
    summary: "No code of the batch is paid from this answer on; what was redeemed stays",
    rateClass: "write",
    idempotent: true,
    bodyLimitBytes: 4_096,
    request: { params: z.strictObject({ batchId: idOf("vcb") }), body: voucherRevokeBody },
    responses: { 200: voucherBatchResponse },
    errors: ["not_found", "conflict"],
    handler: async ({ principal, params, body, idempotencyKey }) => {
      const revoked = await deps.revokeVoucherBatch({
        actor: principal.accountId,
        idempotencyKey,
        batchId: params.batchId,
        reason: body.reason,
      });
      if (revoked === "not_found") throw notFound();
      if (revoked === "conflict") throw keyReused();
      if (revoked === "already_revoked") throw appError("conflict", "The batch was revoked before.");
      return { status: 200, body: { batch: toApiBatch(revoked) } };
    },
  });
}

function keyReused(): Error {
  return appError("idempotency_key_reused", "This Idempotency-Key was used for another request.");
}

function stateOf(batch: VoucherBatch): "proposed" | "open" | "expired" | "revoked" {
  if (batch.revokedAt) return "revoked";
  if (batch.expiresAt && batch.expiresAt.getTime() <= Date.now()) return "expired";
  return batch.approvalNeeded && !batch.approvedAt ? "proposed" : "open";
}

function toApiBatch(batch: VoucherBatch): z.output<typeof voucherBatchResponse>["batch"] {
  return {
    batchId: batch.batchId,
    bucket: batch.bucket,
    amount: batch.amount,
    total: batch.total,
    redeemed: batch.redeemed,
    maxPerAccount: batch.maxPerAccount,
    expiresAt: batch.expiresAt?.toISOString() ?? null,
    state: stateOf(batch),
    note: batch.note,
    createdBy: batch.createdBy,
    createdAt: batch.createdAt.toISOString(),
    revokedAt: batch.revokedAt?.toISOString() ?? null,
    approvedBy: batch.approvedBy,
    approvedAt: batch.approvedAt?.toISOString() ?? null,
  };
}
