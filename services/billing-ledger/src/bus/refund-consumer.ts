import { eventHandler, PermanentFailure, type EventHandler } from "@codex/bus";
import { refundCommand } from "@codex/contracts";
import { AppError } from "@codex/kernel";
import type { RefundByCommand, RefundCommandOutcome } from "../app/refund-by-command.ts";

/** Name of the consumer at the server; replicas share it. */
export const refundDurable = "billing-refunds";

/** Refunds by command. What can never be right goes to the dead letters at once; what is not booked yet is tried for hours. */
export function refundHandler(refund: (ask: RefundByCommand) => Promise<RefundCommandOutcome>): EventHandler {
  return eventHandler(refundCommand, async (command) => {
    const outcome = await refund({
      accountId: command.accountId,
      requestId: command.requestId,
      amount: command.amountMicroTokens,
      reason: command.reason,
      idempotencyKey: command.idempotencyKey,
    });
    switch (outcome) {
      case "done":
        return;
      case "not_booked":
        throw new AppError({
          kind: "unavailable",
          code: "service_unavailable",
          publicMessage: "The charge of the request is not booked yet.",
        });
      case "key_reused":
        throw new PermanentFailure("the idempotency key was used for another refund");
      case "exceeds_charge":
        throw new PermanentFailure("the refund is more than what is left of the charge, or nothing at all");
    }
  });
}
