import type { AccountId, EventId, MicroTokens } from "@codex/kernel";
import type { Threshold } from "../domain/low-balance.ts";

/** What low-balance alerts need from the outside. */

export interface AlertSettings {
  readonly enabled: boolean;
  /** Highest first. */
  readonly thresholds: readonly Threshold[];
}

export interface FiredAlert {
  readonly alertId: EventId;
  readonly accountId: AccountId;
  readonly threshold: MicroTokens;
  readonly balance: MicroTokens;
  readonly firedAt: Date;
}

/** An account with alerts whose balance has changed since the last look. */
export interface WatchedAccount {
  readonly accountId: AccountId;
  /** paid + bonus. */
  readonly balance: MicroTokens;
  readonly thresholds: readonly Threshold[];
}

export interface Verdict {
  readonly fired: readonly FiredAlert[];
  readonly rearmed: readonly { readonly accountId: AccountId; readonly threshold: MicroTokens }[];
}

export interface AlertStore {
  /** Disabled and empty for an account that never set any. */
  settings(accountId: AccountId): Promise<AlertSettings>;
  /** One transaction under the row's lock: `decide` gets what is set now and the balance. */
  change(
    accountId: AccountId,
    enabled: boolean,
    decide: (known: readonly Threshold[], balance: MicroTokens) => readonly Threshold[],
  ): Promise<AlertSettings>;
  /**
   * One transaction over at most `limit` accounts behind `after` that no other replica looks at: `judge` decides, its verdict is
   * kept, and `balance.low` goes to the outbox with it. Answers the last account when there may be more behind it.
   */
  look(
    limit: number,
    after: AccountId | undefined,
    judge: (accounts: readonly WatchedAccount[]) => Verdict,
  ): Promise<AccountId | undefined>;
  /** Newest first; at most `limit`. */
  history(accountId: AccountId, limit: number, before: EventId | undefined): Promise<readonly FiredAlert[]>;
}
