import { eventHandler, PermanentFailure, type EventHandler } from "@codex/bus";
import { grantCommand } from "@codex/contracts";
import type { CreditOutcome } from "../app/ports.ts";
import type { GrantRequest } from "../app/credit-account.ts";

/** Name of the consumer at the server; replicas share it. */
export const grantDurable = "billing-grants";

/** Grants by command. What can never be right goes to the dead letters at once, where an operator reads the reason. */
export function grantHandler(
  credit: (request: GrantRequest) => Promise<CreditOutcome | "out_of_bounds">,
): EventHandler {
  return eventHandler(grantCommand, async (command) => {
    const outcome = await credit({
      accountId: command.accountId,
      bucket: command.bucket,
      amount: command.amountMicroTokens,
      reason: command.reason,
      idempotencyKey: command.idempotencyKey,
      ...(command.expiresAt === undefined ? {} : { expiresAt: new Date(command.expiresAt) }),
    });
    if (outcome === "conflict") throw new PermanentFailure("the idempotency key was used for another grant");
    if (outcome === "out_of_bounds")
      throw new PermanentFailure("the amount of the grant is out of bounds, or it is paid money that would expire");
  });
}
