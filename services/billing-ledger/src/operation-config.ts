import { env } from "@codex/runtime";
import type { FourEyes } from "./app/adjust-account.ts";
import type { DisputeRules } from "./app/dispute.ts";
import type { RefundRules } from "./domain/auto-refund.ts";

/** Settings of operators' money, refunds and disputes. */
export interface OperationConfig {
  readonly fourEyes: FourEyes;
  /** Micro-tokens that one operator may give away by vouchers within 24 hours. */
  readonly voucherFourEyesAbove: bigint;
  readonly disputeRules: DisputeRules;
  readonly refundRules: RefundRules;
  readonly autoRefundPollMs: number;
  readonly expiryPollMs: number;
}

export const operationFields = {
  ADJUSTMENT_FOUR_EYES_ABOVE_MICRO_TOKENS: env
    .integer({ min: 0, max: 1_000_000_000_000_000, default: 1_000_000_000 })
    .describe("what one operator may move alone on one account in 24 hours; above it a second one must approve"),
  VOUCHER_FOUR_EYES_ABOVE_MICRO_TOKENS: env
    .integer({ min: 0, max: 1_000_000_000_000_000, default: 10_000_000_000 })
    .describe("what the vouchers that one operator makes in 24 hours may be worth; above it a second one must approve"),
  PROPOSAL_TTL_MS: env
    .integer({ min: 60_000, max: 2_592_000_000, default: 259_200_000 })
    .describe("after which a proposal that nobody decided ends by itself"),
  DISPUTE_WINDOW_DAYS: env
    .integer({ min: 1, max: 3_650, default: 60 })
    .describe("how long after it began a request can be disputed"),
  DISPUTE_DUE_DAYS: env
    .integer({ min: 1, max: 365, default: 10 })
    .describe("within which an operator answers a dispute; the user sees the date"),
  AUTO_REFUND_UPSTREAM_ERROR: env
    .boolean({ default: true })
    .describe("give back what was charged for an answer that the upstream broke off"),
  AUTO_REFUND_EMPTY_COMPLETION: env
    .boolean({ default: true })
    .describe("give back what was charged for an answer without a token"),
  AUTO_REFUND_FAILED_IMAGE: env
    .boolean({ default: true })
    .describe("give back what was charged for an image that never came"),
  AUTO_REFUND_POLL_MS: env
    .integer({ min: 20, max: 600_000, default: 1_000 })
    .describe("between two looks for newly booked usage that a refund rule covers"),
  EXPIRY_POLL_MS: env
    .integer({ min: 20, max: 600_000, default: 30_000 })
    .describe("between two looks for pending debits and proposals whose time is over"),
};

type Values = Readonly<{
  [Field in keyof typeof operationFields]: (typeof operationFields)[Field] extends { _output: infer T } ? T : never;
}>;

export function operationConfig(values: Values): OperationConfig {
  return {
    fourEyes: {
      aboveMicroTokens: BigInt(values.ADJUSTMENT_FOUR_EYES_ABOVE_MICRO_TOKENS),
      proposalTtlMs: values.PROPOSAL_TTL_MS,
    },
    voucherFourEyesAbove: BigInt(values.VOUCHER_FOUR_EYES_ABOVE_MICRO_TOKENS),
    disputeRules: { windowDays: values.DISPUTE_WINDOW_DAYS, dueDays: values.DISPUTE_DUE_DAYS },
    refundRules: {
      upstream_error: values.AUTO_REFUND_UPSTREAM_ERROR,
      empty_completion: values.AUTO_REFUND_EMPTY_COMPLETION,
      failed_image: values.AUTO_REFUND_FAILED_IMAGE,
    },
    autoRefundPollMs: values.AUTO_REFUND_POLL_MS,
    expiryPollMs: values.EXPIRY_POLL_MS,
  };
}
