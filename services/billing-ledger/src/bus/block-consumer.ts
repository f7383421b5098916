import { eventHandler, type EventHandler } from "@codex/bus";
import { accountBlocked } from "@codex/contracts";
import type { AccountId } from "@codex/kernel";

/** Name of the consumer at the server; replicas share it. */
export const blockDurable = "billing-account-blocks";

export function blockHandler(
  decide: (decision: { readonly accountId: AccountId; readonly blocked: boolean; readonly at: Date }) => Promise<void>,
): EventHandler {
  return eventHandler(accountBlocked, ({ accountId, blocked, at }) => decide({ accountId, blocked, at: new Date(at) }));
}
