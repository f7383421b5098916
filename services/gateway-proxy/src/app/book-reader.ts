import type { UsageLine } from "@codex/contracts";
import type { AccountTotals } from "./account-totals.ts";
import type { AccountId, Id, KeyId, MicroTokens, RequestId } from "@codex/kernel";

/** What the books say of the account whose key asks. Not for the hot path: each is a question to billing. */
export interface BookReader {
  balance(accountId: AccountId): Promise<{
    readonly paid: MicroTokens;
    readonly bonus: MicroTokens;
    readonly held: MicroTokens;
    readonly available: MicroTokens;
  }>;
  /** Remembered for seconds. Undefined: billing is of a version that cannot say. */
  totals(accountId: AccountId): Promise<AccountTotals | undefined>;
  /** Undefined: no such request of this account, or not yet booked. */
  usage(
    accountId: AccountId,
    requestId: RequestId,
  ): Promise<{ readonly usage: UsageLine; readonly priceVersion: Id<"prc">; readonly postedAt: string } | undefined>;
  /** Of a key with caps, by their UTC windows; zeros for one without. */
  keySpend(keyId: KeyId): Promise<{
    readonly daily: MicroTokens;
    readonly monthly: MicroTokens;
    readonly total: MicroTokens;
  }>;
}
