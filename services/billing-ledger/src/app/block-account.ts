import type { AccountId } from "@codex/kernel";

export interface AccountBlockStore {
  /** Of two decisions the later one counts. False when a later one is known, or this one. */
  setBlocked(accountId: AccountId, blocked: boolean, at: Date): Promise<boolean>;
}

/**
 * A blocked account spends nothing more: it gets no lease, and workers are asked for what they hold of it. A worker that does not
 * hear that goes on until its lease runs out, LEASE_TTL_MS at most. Requests that run come to their end.
 */
export async function blockAccount(
  deps: { readonly blocks: AccountBlockStore; readonly recall: (accountId: AccountId) => void },
  decision: { readonly accountId: AccountId; readonly blocked: boolean; readonly at: Date },
): Promise<void> {
  const isNews = await deps.blocks.setBlocked(decision.accountId, decision.blocked, decision.at);
  // At a repetition too: the process may have died between the two.
  if (decision.blocked || isNews) deps.recall(decision.accountId);
}
