import type { AccountId, MicroTokens, RequestId } from "@codex/kernel";
import { operatorAsk, type OperationDeps } from "./adjust-account.ts";
import { commandOf, outcomeName } from "./command.ts";
import type { Outcome, Proposed, Refunded } from "./operations-ports.ts";

export interface RefundRequest {
  readonly accountId: AccountId;
  readonly requestId: RequestId;
  /** Null: whatever of the charge is not given back yet. */
  readonly amount: MicroTokens | null;
  readonly reason: string;
  readonly ticket: string;
}

/** Gives back a part or the whole of one charge, or proposes it above the limit. All refunds of a request ≤ its charge. */
export async function refundUsage(
  deps: OperationDeps,
  actor: AccountId,
  request: RefundRequest,
  idempotencyKey: string,
): Promise<Outcome<Refunded | Proposed>> {
  const input = [request.accountId, request.requestId, request.amount, request.reason, request.ticket];
  const outcome = await deps.operations.refund(commandOf("refund", actor, idempotencyKey, input), {
    ...request,
    ...operatorAsk(deps, actor),
  });
  deps.events.operated("refund", outcomeName(outcome));
  return outcome;
}
