import type { AccountId } from "@codex/kernel";
import type { ChangedBalance } from "../app/ports.ts";
import { toCount } from "./mapping.ts";

/** `balance_json` of the money machine: int8 as text. */
export interface BalanceJson {
  readonly paid: string;
  readonly bonus: string;
  readonly reserved: string;
  readonly version: string;
}

export function fromDbBalanceJson(accountId: AccountId, balance: BalanceJson): ChangedBalance {
  return {
    accountId,
    paid: BigInt(balance.paid),
    bonus: BigInt(balance.bonus),
    held: BigInt(balance.reserved),
    version: toCount(BigInt(balance.version)),
  };
}
