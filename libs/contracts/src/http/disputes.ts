import * as z from "zod";
import { amount, idOf, instant } from "../codecs.ts";
import { usageLine } from "./billing.ts";
import { operationReason, operationTicket, refundAmount, refundView } from "./money-operations.ts";

/** A user disputes one own request; an operator answers by a date. No content of requests is stored, so none is shown. */

export const disputeReason = z.enum(["wrong_charge", "no_answer", "cut_answer", "not_mine", "other"]);
export const disputeState = z.enum(["open", "withdrawn", "refunded", "rejected"]);

export const disputeBody = z.strictObject({
  requestId: idOf("req"),
  reason: disputeReason,
  text: z.string().trim().min(1).max(2_000),
});

const disputeFields = {
  disputeId: idOf("dsp"),
  requestId: idOf("req"),
  reason: disputeReason,
  state: disputeState,
  /** What was given back by it. */
  refunded: amount.nullable(),
  transferId: idOf("trf").nullable(),
  openedAt: instant,
  dueAt: instant,
  resolvedAt: instant.nullable(),
};
export const dispute = z.strictObject(disputeFields);

const eventFields = {
  kind: z.enum([
    "opened",
    "claimed",
    "released",
    "message",
    "second_review",
    "review_ended",
    "refunded",
    "rejected",
    "withdrawn",
  ]),
  by: z.enum(["user", "operator", "system"]),
  text: z.string().nullable(),
  amount: amount.nullable(),
  at: instant,
};

export const disputeResponse = z.strictObject({ dispute });
/** With its timeline, oldest first. Of operators the user sees that it was one. */
export const disputeDetail = z.strictObject({ dispute, events: z.array(z.strictObject(eventFields)) });
const page = {
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(200).optional(),
};
/** Newest first. */
export const disputeList = z.strictObject({ disputes: z.array(dispute), nextCursor: z.string().nullable() });
export const disputeQuery = z.strictObject(page);

export const operatorDispute = z.strictObject({
  ...disputeFields,
  accountId: idOf("acc"),
  assigneeId: idOf("acc").nullable(),
  overdue: z.boolean(),
});
/** By due date, the most urgent first. */
export const disputeQueue = z.strictObject({ disputes: z.array(operatorDispute), nextCursor: z.string().nullable() });
export const disputeQueueQuery = z.strictObject({
  state: disputeState.default("open"),
  assignee: z.enum(["me", "none", "any"]).default("any"),
  ...page,
});
export const operatorDisputeDetail = z.strictObject({
  dispute: operatorDispute,
  /** Null when the day of the request is archived. */
  usage: usageLine.nullable(),
  events: z.array(z.strictObject({ ...eventFields, actorId: idOf("acc").nullable() })),
});

/** `takeOver`: also when another operator has it. */
export const disputeClaimBody = z.strictObject({ takeOver: z.boolean().default(false) });
export const disputeMessageBody = z.strictObject({ text: z.string().trim().min(1).max(2_000) });
/** The reason is what the user reads. */
export const disputeResolveBody = z.discriminatedUnion("outcome", [
  z.strictObject({
    outcome: z.literal("refund"),
    amount: refundAmount,
    reason: operationReason,
    ticket: operationTicket,
  }),
  z.strictObject({ outcome: z.literal("rejected"), reason: operationReason, ticket: operationTicket }),
]);
/** `proposed`: above the limit of one operator; the dispute stays open until a second one has decided. */
export const disputeResolveResult = z.discriminatedUnion("outcome", [
  refundView.extend({ outcome: z.literal("refunded") }),
  z.strictObject({ outcome: z.literal("rejected") }),
  z.strictObject({ outcome: z.literal("proposed"), proposalId: idOf("ppl"), expiresAt: instant }),
]);
