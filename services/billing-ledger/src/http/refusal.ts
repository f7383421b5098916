import { appError, notFound } from "@codex/http";
import { formatAmount, type AppError } from "@codex/kernel";
import type { Outcome, Refusal } from "../app/operations-ports.ts";

/** A refusal as the API tells it. Every code stands in the routes' `errors`. */
export function toApiError(refusal: Refusal): AppError {
  switch (refusal.refused) {
    case "key_reused":
      return appError("idempotency_key_reused", "This Idempotency-Key was used for another request.");
    case "not_found":
      return notFound();
    case "own_account":
      return appError("own_account", "Operators do not decide about their own account.");
    case "own_proposal":
      return appError("second_operator_required", "The proposal is your own; another operator must decide.");
    case "expired":
      return appError("proposal_decided", "The time of the proposal is over.", { metadata: { state: "expired" } });
    case "already_decided":
      return appError("proposal_decided", "The proposal is decided.", { metadata: { state: refusal.state } });
    case "insufficient_balance":
      return appError("insufficient_balance", "The bucket cannot give that much now.", {
        metadata: { debitable: formatAmount(refusal.debitable) },
      });
    case "exceeds_charge":
      return appError("refund_exceeds_charge", "Refunds of a request cannot exceed its charge.", {
        metadata: { refundable: formatAmount(refusal.refundable) },
      });
    case "not_open":
      return appError("dispute_closed", "The dispute is not open any more.", { metadata: { state: refusal.state } });
    case "already_open":
      return appError("dispute_open", "A dispute of this request is open.", {
        metadata: { disputeId: refusal.disputeId },
      });
    case "under_review":
      return appError("conflict", "A proposal of this dispute waits for a second operator.");
    case "assigned_to_other":
      return appError("dispute_assigned", "Another operator has this dispute.");
    case "window_closed":
      return appError("dispute_window_closed", "The request is too old to be disputed.");
    case "too_many_messages":
      return appError("dispute_message_limit", "You have written as many messages in this dispute as it takes.");
    case "too_many_open":
      return appError("dispute_limit_reached", "Too many disputes of this account are open.");
  }
}

/** The value of a command and the headers that say whether it is a stored answer. Throws what a refusal is to the client. */
export function accepted<T>(outcome: Outcome<T>): { readonly value: T; readonly headers: Record<string, string> } {
  if (!outcome.ok) throw toApiError(outcome);
  return { value: outcome.value, headers: outcome.replayed ? { "idempotency-replayed": "true" } : {} };
}
