import * as z from "zod";
import { amount, idOf, instant } from "../codecs.ts";

/**
 * What operators do with money. Each changing call carries `Idempotency-Key`: the same key with the same input gets the
 * stored answer, with other input 409 `idempotency_key_reused`.
 */

/** A thousand million tokens: far above any real operation, far below where a balance could overflow. */
export const operationMicroTokensMax = 10n ** 15n;

const isWithin = (value: bigint): boolean => value <= operationMicroTokensMax && value >= -operationMicroTokensMax;
export const positiveAmount = amount.refine(
  (value) => value > 0n && isWithin(value),
  "must be above 0 and within bounds",
);
const signedAmount = amount.refine((value) => value !== 0n && isWithin(value), "must not be 0, and be within bounds");

/** Why; the user reads it on the statement. */
export const operationReason = z.string().trim().min(3).max(500);
/** Where it was asked for: a number or address in the operator's own tracker. The user does not see it. */
export const operationTicket = z.string().trim().min(1).max(200);

export const bucket = z.enum(["paid", "bonus"]);

export const moneyView = z.strictObject({ paid: amount, bonus: amount, held: amount });

export const adjustmentBody = z.strictObject({
  accountId: idOf("acc"),
  bucket,
  /** Negative takes, at most what is available in the bucket. */
  amount: signedAmount,
  reason: operationReason,
  ticket: operationTicket,
});

export const adjustmentPreview = z.strictObject({
  before: moneyView,
  after: moneyView,
  /** It would become a proposal. */
  needsSecondOperator: z.boolean(),
  /** Why it would be refused; `after` is then `before`. */
  refusal: z.enum(["own_account", "insufficient_balance"]).nullable(),
});

const proposed = z.strictObject({ outcome: z.literal("proposed"), proposalId: idOf("ppl"), expiresAt: instant });
const postedAdjustment = z.strictObject({
  outcome: z.literal("posted"),
  transferId: idOf("trf"),
  before: moneyView,
  after: moneyView,
});
/** `proposed`: above the limit of one operator; nothing has moved yet. */
export const adjustmentResult = z.discriminatedUnion("outcome", [postedAdjustment, proposed]);

/** "full": whatever of the charge is not given back yet. */
export const refundAmount = z.union([z.literal("full"), positiveAmount]);

export const refundBody = z.strictObject({
  accountId: idOf("acc"),
  amount: refundAmount,
  reason: operationReason,
  ticket: operationTicket,
});

export const refundView = z.strictObject({
  transferId: idOf("trf"),
  amount,
  /** How much of it went to which bucket; two transfers when both are above 0. */
  paid: amount,
  bonus: amount,
  /** Of the request, this refund included; at most `charged`. */
  refunded: amount,
  charged: amount,
});
const postedRefund = refundView.extend({ outcome: z.literal("posted") });
export const refundResult = z.discriminatedUnion("outcome", [postedRefund, proposed]);

export const proposalState = z.enum(["proposed", "approved", "rejected", "expired", "cancelled"]);
export const proposal = z.strictObject({
  proposalId: idOf("ppl"),
  kind: z.enum(["adjustment", "refund", "dispute"]),
  accountId: idOf("acc"),
  bucket: bucket.nullable(),
  amount,
  requestId: idOf("req").nullable(),
  disputeId: idOf("dsp").nullable(),
  reason: z.string(),
  ticket: z.string(),
  makerId: idOf("acc"),
  state: proposalState,
  deciderId: idOf("acc").nullable(),
  decisionReason: z.string().nullable(),
  transferId: idOf("trf").nullable(),
  createdAt: instant,
  expiresAt: instant,
  decidedAt: instant.nullable(),
});
export type Proposal = z.infer<typeof proposal>;
/** Newest first. */
export const proposalList = z.strictObject({ proposals: z.array(proposal), nextCursor: z.string().nullable() });
export const proposalQuery = z.strictObject({
  state: proposalState.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(200).optional(),
});

export const decisionBody = z.strictObject({ reason: operationReason });
export const decisionResult = z.discriminatedUnion("outcome", [
  z.strictObject({ outcome: z.literal("approved"), proposalId: idOf("ppl"), transferId: idOf("trf") }),
  z.strictObject({ outcome: z.literal("rejected"), proposalId: idOf("ppl") }),
]);

/** One line of the operators' audit log of money. */
export const operatorAct = z.strictObject({
  actId: idOf("act"),
  actorId: idOf("acc"),
  act: z.string(),
  accountId: idOf("acc"),
  /** The transfer, request, proposal or dispute, by its id. */
  target: z.string(),
  amount: amount.nullable(),
  reason: z.string(),
  ticket: z.string().nullable(),
  before: moneyView.nullable(),
  after: moneyView.nullable(),
  at: instant,
});
export type OperatorAct = z.infer<typeof operatorAct>;
/** Newest first. */
export const operatorActList = z.strictObject({ acts: z.array(operatorAct), nextCursor: z.string().nullable() });
export const operatorActQuery = z.strictObject({
  accountId: idOf("acc").optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(200).optional(),
});
