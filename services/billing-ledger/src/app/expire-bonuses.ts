import type { AccountId, MicroTokens, TransferId } from "@codex/kernel";

/** A credit that expires and has something left. */
export interface ExpiringBonus {
  readonly transferId: TransferId;
  readonly amount: MicroTokens;
  readonly remaining: MicroTokens;
  readonly expiresAt: Date;
}

export interface BonusStore {
  /** Those that expire soonest first; at most `limit`. */
  running(accountId: AccountId, limit: number): Promise<readonly ExpiringBonus[]>;
  /** One transaction over at most `limit` credits whose time is over, with `balance.changed`. Answers how many accounts lost money. */
  expire(limit: number): Promise<number>;
}

/** Credits of one transaction: few, because each holds a balance. */
const expireCredits = 50;

/** One round; repeated while there was something to take. What leases hold is tried again a minute later. */
export async function expireBonuses(
  deps: { readonly store: BonusStore; readonly onExpired: (accounts: number) => void },
  signal: AbortSignal,
): Promise<void> {
  for (let accounts = 1; accounts > 0 && !signal.aborted;) {
    accounts = await deps.store.expire(expireCredits);
    if (accounts > 0) deps.onExpired(accounts);
  }
}
