import type { Bus } from "@codex/bus";
import {
  balanceChanged,
  balancesChanged,
  changedBalancesMax,
  usagePartitionOf,
  type ChangedBalanceMessage,
} from "@codex/contracts";
import type { OutboxMessage } from "@codex/db";
import type { ChangedBalance } from "../app/ports.ts";

/** The outbox row of a changed balance: subject and envelope come from the contract, the row commits with the change. */
export function toBusBalanceChanged(bus: Pick<Bus, "encode">, balance: ChangedBalance): OutboxMessage {
  return bus.encode(balanceChanged, { params: { accountId: balance.accountId }, data: toBusBalance(balance) });
}

function toBusBalance(balance: ChangedBalance): ChangedBalanceMessage {
  return {
    accountId: balance.accountId,
    paidMicroTokens: balance.paid,
    bonusMicroTokens: balance.bonus,
    heldMicroTokens: balance.held,
    availableMicroTokens: balance.paid + balance.bonus - balance.held,
    version: balance.version,
  };
}

/**
 * What usage has changed, many accounts in one message (docs/adr/0024). One message is made and stored after the other: all at
 * once would hold up usage and leases meanwhile. Resolves when all are stored; rejects with the first failure, and then any of
 * them may have been.
 */
export async function publishBalances(bus: Pick<Bus, "publish">, balances: readonly ChangedBalance[]): Promise<void> {
  for (const [partition, own] of Map.groupBy(balances, ({ accountId }) => usagePartitionOf(accountId))) {
    for (let from = 0; from < own.length; from += changedBalancesMax) {
      const part = own.slice(from, from + changedBalancesMax).map(toBusBalance);
      await bus.publish(balancesChanged, {
        params: { partition: String(partition) },
        data: { partition, balances: part },
      });
    }
  }
}
