import type { AccountId, Clock, MicroTokens } from "@codex/kernel";

/** `credited − spent` is the balance, paid and bonus, of the moment at which billing was asked. */
export interface AccountTotals {
  readonly credited: MicroTokens;
  readonly spent: MicroTokens;
}

const ageMaxMs = 5_000;
const accountsMax = 10_000;

/**
 * One question an account in five seconds, however many of its keys and tools ask in a loop; those who ask at once share it. A
 * question without an answer is not remembered.
 */
export class AccountTotalsCache {
  private readonly ask: (accountId: AccountId) => Promise<AccountTotals | undefined>;
  private readonly clock: Clock;
  private readonly asked = new Map<
    AccountId,
    { readonly at: number; readonly answer: Promise<AccountTotals | undefined> }
  >();

  constructor(ask: (accountId: AccountId) => Promise<AccountTotals | undefined>, clock: Clock) {
    this.ask = ask;
    this.clock = clock;
  }

  /** Undefined: billing is of a version that cannot say. Rejects as the question does. */
  of(accountId: AccountId): Promise<AccountTotals | undefined> {
    const now = this.clock.now().getTime();
    const before = this.asked.get(accountId);
    if (before && now - before.at < ageMaxMs) return before.answer;
    this.asked.delete(accountId);
    const answer = this.ask(accountId);
    const forget = (): void => {
      if (this.asked.get(accountId)?.answer === answer) this.asked.delete(accountId);
    };
    answer.then((totals) => totals ?? forget(), forget);
    this.asked.set(accountId, { at: now, answer });
    // In the order of their questions: the first is the oldest.
    if (this.asked.size > accountsMax) this.asked.delete(this.asked.keys().next().value as AccountId);
    return answer;
  }
}
