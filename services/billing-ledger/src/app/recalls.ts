import type { AccountId } from "@codex/kernel";

/** A question to every worker for an account's idle money, and who has answered it. */
export interface Recall {
  /** Asks; whoever has answered before may have been given a lease since, and is expected to answer again. */
  askAll(): void;
  /** Asks those who may not have heard; the answers so far stand. */
  remind(): void;
  /** Epochs whose workers have given back what they could. */
  readonly answered: ReadonlySet<number>;
  end(): void;
}

/** The recalls that are under way in this process. Answers reach every replica; those to somebody else's recall are dropped. */
export class Recalls {
  private readonly signal: (accountId: AccountId) => void;
  private readonly answers = new Map<AccountId, Set<Set<number>>>();

  /** `signal` may be lost on its way. */
  constructor(signal: (accountId: AccountId) => void) {
    this.signal = signal;
  }

  open(accountId: AccountId): Recall {
    const answered = new Set<number>();
    const ofAccount = this.answers.get(accountId) ?? new Set();
    this.answers.set(accountId, ofAccount.add(answered));
    return {
      askAll: () => {
        answered.clear();
        this.signal(accountId);
      },
      remind: () => this.signal(accountId),
      answered,
      end: () => {
        ofAccount.delete(answered);
        if (ofAccount.size === 0) this.answers.delete(accountId);
      },
    };
  }

  heard(accountId: AccountId, epoch: number): void {
    for (const answered of this.answers.get(accountId) ?? []) answered.add(epoch);
  }
}
