import type { AccountId, Clock, MicroTokens } from "@codex/kernel";
import type { LedgerStore } from "./ports.ts";

export interface BalanceView {
  readonly paid: MicroTokens;
  readonly bonus: MicroTokens;
  readonly held: MicroTokens;
  /** paid + bonus − held, never negative. */
  readonly available: MicroTokens;
  readonly updatedAt: Date;
}

/** The committed balance; zeros for an account that never had money. */
export async function readBalance(
  deps: { readonly ledger: LedgerStore; readonly clock: Clock },
  accountId: AccountId,
): Promise<BalanceView> {
  const balance = await deps.ledger.balance(accountId);
  if (!balance) return { paid: 0n, bonus: 0n, held: 0n, available: 0n, updatedAt: deps.clock.now() };
  return {
    paid: balance.paid,
    bonus: balance.bonus,
    held: balance.held,
    available: balance.paid + balance.bonus - balance.held,
    updatedAt: balance.updatedAt,
  };
}
