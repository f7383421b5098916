import { createCounter, type Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";
import type { AutoRefundEvents } from "./app/auto-refund.ts";
import type { OperationEvents } from "./app/operations-ports.ts";

/** Business telemetry of operators' money, refunds and disputes. */
export interface OperationTelemetry extends OperationEvents, AutoRefundEvents {
  expired(ended: { readonly pending: number; readonly proposals: number }): void;
  jobFailed(part: "auto_refund" | "expiry", error: unknown): void;
}

export function operationEvents(
  logger: Logger,
  meter: Meter,
  waiting: () => Promise<{ readonly open: number; readonly overdue: number }>,
): OperationTelemetry {
  const operations = createCounter(meter, "billing_operations", "Money operations and disputes by outcome");
  const refunds = createCounter(meter, "billing_auto_refunds", "Refunds by rule");
  const expiries = createCounter(meter, "billing_expiries", "What ended because its time was over");
  const faults = createCounter(meter, "billing_operation_faults", "Failures of background work of operations by part");
  meter
    .createObservableGauge("billing_disputes", { description: "Open disputes; overdue ones are past their due date" })
    .addCallback(async (result) => {
      const { open, overdue } = await waiting();
      result.observe(open, { state: "open" });
      result.observe(overdue, { state: "overdue" });
    });
  return {
    operated(operation, outcome) {
      operations.with({ operation, outcome }).add();
    },
    autoRefunded(rule, outcome) {
      refunds.with({ rule, outcome }).add();
    },
    expired({ pending, proposals }) {
      expiries.with({ what: "pending" }).add(pending);
      expiries.with({ what: "proposal" }).add(proposals);
    },
    jobFailed(part, error) {
      faults.with({ part }).add();
      logger.error(part === "auto_refund" ? "automatic refunds failed" : "expiry failed", { error });
    },
  };
}
