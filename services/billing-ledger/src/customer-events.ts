import { createCounter, type Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";
import type { VoucherEvents } from "./app/voucher-ports.ts";

/** Telemetry of what customers do with their money beside spending it: receipts, vouchers, alerts, bonus. */
export interface CustomerEvents extends VoucherEvents {
  receiptKeyFailed(error: unknown): void;
  alertsFired(count: number): void;
  alertRoundFailed(error: unknown): void;
  bonusesExpired(accounts: number): void;
  bonusExpiryFailed(error: unknown): void;
  refundedByCommand(reason: string, outcome: string): void;
}

export function customerEvents(logger: Logger, meter: Meter): CustomerEvents {
  const tries = createCounter(meter, "billing_voucher_tries", "Attempts to redeem a voucher by outcome");
  const alerts = createCounter(meter, "billing_low_balance_alerts", "Low-balance alerts that fired");
  const expiries = createCounter(meter, "billing_bonus_expiries", "Accounts from which expired bonus was taken back");
  const refunds = createCounter(meter, "billing_refund_commands", "Refunds by command by reason and outcome");
  const faults = createCounter(meter, "billing_customer_faults", "Failures of background work for customers by part");
  return {
    receiptKeyFailed(error) {
      faults.with({ part: "receipt_key" }).add();
      logger.error("the key of receipts could not be looked after", { error });
    },
    alertsFired(count) {
      alerts.add(count);
    },
    alertRoundFailed(error) {
      faults.with({ part: "low_balance_alerts" }).add();
      logger.error("low balances could not be looked for", { error });
    },
    bonusesExpired(accounts) {
      expiries.add(accounts);
    },
    bonusExpiryFailed(error) {
      faults.with({ part: "bonus_expiry" }).add();
      logger.error("expired bonus could not be taken back", { error });
    },
    refundedByCommand(reason, outcome) {
      refunds.with({ reason, outcome }).add();
    },
    voucherTried(outcome) {
      tries.with({ outcome }).add();
    },
    voucherBatchChanged(act, batchId) {
      logger.info("voucher batch changed", { reason: act, name: batchId });
    },
  };
}
