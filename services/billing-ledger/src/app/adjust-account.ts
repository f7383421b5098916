import { newId, type AccountId, type Clock, type MicroTokens } from "@codex/kernel";
import { previewAdjustment, type AdjustmentPreview } from "../domain/adjustment.ts";
import { commandOf, outcomeName } from "./command.ts";
import type { Adjusted, OperationEvents, OperationsStore, Outcome, Proposed } from "./operations-ports.ts";

export interface AdjustRequest {
  readonly accountId: AccountId;
  readonly bucket: "paid" | "bonus";
  /** Not 0; negative takes. */
  readonly amount: MicroTokens;
  readonly reason: string;
  readonly ticket: string;
}

export interface FourEyes {
  /** What one operator may move on one account within 24 hours. */
  readonly aboveMicroTokens: MicroTokens;
  readonly proposalTtlMs: number;
}

/** What a use case of operators needs. */
export interface OperationDeps {
  readonly operations: OperationsStore;
  readonly events: OperationEvents;
  readonly clock: Clock;
  readonly fourEyes: FourEyes;
}

/** Corrects a balance by hand, or proposes it when it is above the limit. Never the own account, never below available. */
export async function adjustAccount(
  deps: OperationDeps,
  actor: AccountId,
  request: AdjustRequest,
  idempotencyKey: string,
): Promise<Outcome<Adjusted | Proposed>> {
  const input = [request.accountId, request.bucket, request.amount, request.reason, request.ticket];
  const outcome = await deps.operations.adjust(commandOf("adjustment", actor, idempotencyKey, input), {
    ...request,
    ...operatorAsk(deps, actor),
  });
  deps.events.operated("adjustment", outcomeName(outcome));
  return outcome;
}

/** What {@link adjustAccount} would do now. Writes nothing and promises nothing. */
export async function previewOf(
  deps: Pick<OperationDeps, "operations" | "fourEyes">,
  actor: AccountId,
  request: Pick<AdjustRequest, "accountId" | "bucket" | "amount">,
): Promise<AdjustmentPreview> {
  const now = await deps.operations.adjustable(actor, request.accountId);
  return previewAdjustment(now, { ...request, isOwn: actor === request.accountId }, deps.fourEyes.aboveMicroTokens);
}

/** The part of an ask that every operation of an operator has. */
export function operatorAsk(
  deps: Pick<OperationDeps, "clock" | "fourEyes">,
  actor: AccountId,
): {
  actor: AccountId;
  fourEyesAbove: MicroTokens;
  proposalId: ReturnType<typeof newId<"ppl">>;
  proposalExpiresAt: Date;
} {
  return {
    actor,
    fourEyesAbove: deps.fourEyes.aboveMicroTokens,
    proposalId: newId("ppl"),
    proposalExpiresAt: new Date(deps.clock.now().getTime() + deps.fourEyes.proposalTtlMs),
  };
}
