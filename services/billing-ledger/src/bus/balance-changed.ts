import type { Bus } from "@codex/bus";
import { balanceChanged } from "@codex/contracts";
import type { OutboxMessage } from "@codex/db";
import type { ChangedBalance } from "../app/ports.ts";

/** The outbox row of a changed balance: subject and envelope come from the contract, the row commits with the change. */
export function toBusBalanceChanged(bus: Pick<Bus, "encode">, balance: ChangedBalance): OutboxMessage {
  return bus.encode(balanceChanged, {
    params: { accountId: balance.accountId },
    data: {
      accountId: balance.accountId,
      paidMicroTokens: balance.paid,
      bonusMicroTokens: balance.bonus,
      heldMicroTokens: balance.held,
      availableMicroTokens: balance.paid + balance.bonus - balance.held,
      version: balance.version,
    },
  });
}

/** Messages that are made and sent in one go: a thousand at once would hold up usage and leases for a tenth of a second. */
const sliceMessages = 32;

/** Resolves when all are stored; rejects with the first failure, and then any of them may have been. */
export async function publishBalances(
  bus: Pick<Bus, "encode" | "publishRaw">,
  balances: readonly ChangedBalance[],
): Promise<void> {
  for (let from = 0; from < balances.length; from += sliceMessages) {
    const slice = balances.slice(from, from + sliceMessages);
    await bus.publishRaw(slice.map((balance) => toBusBalanceChanged(bus, balance)));
  }
}
