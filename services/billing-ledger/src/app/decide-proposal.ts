import type { AccountId, ProposalId } from "@codex/kernel";
import type { OperationDeps } from "./adjust-account.ts";
import { commandOf, outcomeName } from "./command.ts";
import type { Decided, Outcome } from "./operations-ports.ts";

/** The second pair of eyes: approving does what was proposed, now; rejecting ends it. Never the maker, never the owner. */
export async function decideProposal(
  deps: Pick<OperationDeps, "operations" | "events">,
  actor: AccountId,
  decision: { readonly proposalId: ProposalId; readonly approve: boolean; readonly reason: string },
  idempotencyKey: string,
): Promise<Outcome<Decided>> {
  const input = [decision.proposalId, decision.approve, decision.reason];
  const command = commandOf("decision", actor, idempotencyKey, input);
  const outcome = await deps.operations.decide(command, { ...decision, actor });
  deps.events.operated(decision.approve ? "approval" : "rejection", outcomeName(outcome));
  return outcome;
}
