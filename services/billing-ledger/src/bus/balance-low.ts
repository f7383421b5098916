import type { Bus } from "@codex/bus";
import { balanceLow } from "@codex/contracts";
import type { OutboxMessage } from "@codex/db";
import type { FiredAlert } from "../app/alert-ports.ts";

/** The outbox row of a fired alert; its event id is the alert's, so that a receiver can name it. */
export function toBusBalanceLow(bus: Pick<Bus, "encode">, alert: FiredAlert): OutboxMessage {
  const { alertId, accountId, threshold, balance, firedAt } = alert;
  return bus.encode(balanceLow, {
    id: alertId,
    params: { accountId },
    data: {
      accountId,
      thresholdMicroTokens: threshold,
      balanceMicroTokens: balance,
      firedAt: firedAt.toISOString(),
    },
  });
}
