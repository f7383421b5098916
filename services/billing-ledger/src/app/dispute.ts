import { newId, type AccountId, type DisputeId, type MicroTokens, type RequestId } from "@codex/kernel";
import { operatorAsk, type OperationDeps } from "./adjust-account.ts";
import { commandOf, outcomeName } from "./command.ts";
import type { DisputeReason, DisputeStore } from "./dispute-ports.ts";
import type { OperationEvents, Outcome, Proposed, Refunded } from "./operations-ports.ts";

export interface DisputeRules {
  /** A request can be disputed for so long after it began. */
  readonly windowDays: number;
  /** The operator answers within. */
  readonly dueDays: number;
}

/** Disputes of one account that may be open at once: more than a person writes, fewer than fill the queue. */
const openMax = 100;
/** Messages of the user in one dispute: a conversation, and far below what the timeline shows. */
export const repliesMax = 20;

interface UserDeps {
  readonly disputes: DisputeStore;
  readonly events: OperationEvents;
}

/** Opens a dispute of an own request; one a request may be open at a time. `not_found` for a foreign request as well. */
export async function openDispute(
  deps: UserDeps & { readonly rules: DisputeRules },
  accountId: AccountId,
  request: { readonly requestId: RequestId; readonly reason: DisputeReason; readonly text: string },
  idempotencyKey: string,
): Promise<Outcome<DisputeId>> {
  const input = [request.requestId, request.reason, request.text];
  const outcome = await deps.disputes.open(commandOf("dispute_open", accountId, idempotencyKey, input), {
    ...request,
    ...deps.rules,
    disputeId: newId("dsp"),
    accountId,
    openMax,
  });
  deps.events.operated("dispute_open", outcomeName(outcome));
  return outcome;
}

export async function withdrawDispute(
  deps: UserDeps,
  accountId: AccountId,
  disputeId: DisputeId,
  idempotencyKey: string,
): Promise<Outcome<DisputeId>> {
  const command = commandOf("dispute_withdraw", accountId, idempotencyKey, [disputeId]);
  const outcome = await deps.disputes.withdraw(command, accountId, disputeId);
  deps.events.operated("dispute_withdraw", outcomeName(outcome));
  return outcome;
}

/** The account's own words in an open dispute; both sides see them in the timeline. At most {@link repliesMax} a dispute. */
export async function replyToDispute(
  deps: UserDeps,
  accountId: AccountId,
  ask: { readonly disputeId: DisputeId; readonly text: string },
  idempotencyKey: string,
): Promise<Outcome<DisputeId>> {
  const command = commandOf("dispute_reply", accountId, idempotencyKey, [ask.disputeId, ask.text]);
  const outcome = await deps.disputes.reply(command, accountId, { ...ask, repliesMax });
  deps.events.operated("dispute_reply", outcomeName(outcome));
  return outcome;
}

/** Takes the dispute, or gives it back. One that another operator has is taken only with `takeOver`. */
export async function assignDispute(
  deps: UserDeps,
  actor: AccountId,
  ask: { readonly disputeId: DisputeId; readonly claim: boolean; readonly takeOver: boolean },
  idempotencyKey: string,
): Promise<Outcome<DisputeId>> {
  const command = commandOf("dispute_assign", actor, idempotencyKey, [ask.disputeId, ask.claim, ask.takeOver]);
  const assignee = ask.claim ? actor : null;
  const outcome = await deps.disputes.assign(command, { ...ask, actor, assignee });
  deps.events.operated(ask.claim ? "dispute_claim" : "dispute_release", outcomeName(outcome));
  return outcome;
}

export async function messageDispute(
  deps: UserDeps,
  actor: AccountId,
  ask: { readonly disputeId: DisputeId; readonly text: string },
  idempotencyKey: string,
): Promise<Outcome<DisputeId>> {
  const command = commandOf("dispute_message", actor, idempotencyKey, [ask.disputeId, ask.text]);
  const outcome = await deps.disputes.message(command, actor, ask.disputeId, ask.text);
  deps.events.operated("dispute_message", outcomeName(outcome));
  return outcome;
}

/** Ends it: gives back a part or the whole, or rejects. A refund above the limit waits for a second operator. */
export async function resolveDispute(
  deps: UserDeps & Pick<OperationDeps, "clock" | "fourEyes">,
  actor: AccountId,
  ask: {
    readonly disputeId: DisputeId;
    readonly outcome: "refund" | "rejected";
    /** Null: whatever of the charge is not given back yet. */
    readonly amount: MicroTokens | null;
    readonly reason: string;
    readonly ticket: string;
  },
  idempotencyKey: string,
): Promise<Outcome<Refunded | Proposed | { readonly outcome: "rejected" }>> {
  const input = [ask.disputeId, ask.outcome, ask.amount, ask.reason, ask.ticket];
  const command = commandOf("dispute_resolve", actor, idempotencyKey, input);
  const outcome = await deps.disputes.resolve(command, { ...ask, ...operatorAsk(deps, actor) });
  deps.events.operated("dispute_resolve", outcomeName(outcome));
  return outcome;
}
