import type { AccountId, MicroTokens, RequestId } from "@codex/kernel";
import { commandOf, outcomeName } from "./command.ts";
import type { Command, Outcome, Refunded } from "./operations-ports.ts";

export interface RefundByCommand {
  readonly accountId: AccountId;
  readonly requestId: RequestId;
  /** Null: whatever of the charge is not given back yet. */
  readonly amount: MicroTokens | null;
  readonly reason: string;
  readonly idempotencyKey: string;
}

export interface RefundCommandStore {
  refund(command: Command, ask: RefundByCommand): Promise<Outcome<Refunded>>;
}

/**
 * What becomes of a command. `done` also where nothing is left to give back and the whole was asked for; `not_booked`: there is no
 * such charge (yet: usage comes by another stream, and may come later).
 */
export type RefundCommandOutcome = "done" | "not_booked" | "key_reused" | "exceeds_charge";

/** Gives back once a key. */
export async function refundByCommand(
  deps: { readonly refunds: RefundCommandStore; readonly onRefund: (reason: string, outcome: string) => void },
  ask: RefundByCommand,
): Promise<RefundCommandOutcome> {
  if (ask.amount !== null && ask.amount <= 0n) return "exceeds_charge";
  const input = [ask.accountId, ask.requestId, ask.amount, ask.reason];
  const outcome = await deps.refunds.refund(commandOf("refund_command", ask.accountId, ask.idempotencyKey, input), ask);
  deps.onRefund(ask.reason, outcomeName(outcome));
  if (outcome.ok) return "done";
  switch (outcome.refused) {
    case "not_found":
      return "not_booked";
    case "key_reused":
      return "key_reused";
    case "exceeds_charge":
      return ask.amount === null ? "done" : "exceeds_charge";
    default:
      throw new Error(`a refund by command was refused: ${outcome.refused}`);
  }
}
