import type { AccountId } from "@codex/kernel";

export interface ReferralCode {
  readonly code: string;
  readonly createdAt: Date;
}

export interface ReferralStore {
  /** Gives the account `code`, or returns the code it has. Undefined when `code` is another account's. */
  claim(accountId: AccountId, code: string): Promise<ReferralCode | undefined>;
}
