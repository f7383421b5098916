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
