import { createCounter, type CheapCounter, type Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";
import type { LeaseEvents } from "./app/lease-ports.ts";
import { leaseEvents } from "./lease-events.ts";
import { priceEvents, type PriceEvents } from "./price-events.ts";
import type { LedgerEvents } from "./app/ports.ts";

/** Business telemetry of the ledger: one function an event. Amounts go to the log, counts to the metrics. */
export interface BillingEvents extends LedgerEvents, LeaseEvents, PriceEvents {
  usageAgentFailed(error: unknown): void;
  usageRoundFailed(job: string, error: unknown): void;
}

export function billingEvents(logger: Logger, meter: Meter): BillingEvents {
  const records = createCounter(meter, "billing_usage_records", "Spool records by what became of them");
  const batches = createCounter(meter, "billing_usage_batches", "Committed usage transactions");
  const writeOffs = createCounter(meter, "billing_write_offs", "Batches with usage that no lease could pay for");
  const charges = createCounter(
    meter,
    "billing_charge_mismatches",
    "Charges that differ from what their own counts give",
  );
  const closes = createCounter(
    meter,
    "billing_lease_close_mismatches",
    "Closed leases where the worker's sum differs from ours",
  );
  const credits = createCounter(meter, "billing_credits", "Grant commands by outcome and reason");
  const faults = createCounter(meter, "billing_faults", "Failures of background work by part");
  return {
    ...leaseEvents(logger, meter),
    ...priceEvents(logger, meter, faults),
    batchApplied(outcome) {
      batches.add();
      records.with({ outcome: "inserted" }).add(outcome.inserted);
      records.with({ outcome: "duplicate" }).add(outcome.duplicates);
      charges.add(outcome.chargeMismatches);
      closes.add(outcome.workerMismatches);
      if (outcome.chargeMismatches > 0)
        logger.warn("charges differ from their counts", { count: outcome.chargeMismatches });
      if (outcome.workerMismatches > 0)
        logger.warn("closed leases differ from the worker's sum", { count: outcome.workerMismatches });
      if (outcome.writtenOff > 0n) {
        writeOffs.add();
        logger.warn("usage written off", { amountMicroTokens: outcome.writtenOff });
      }
    },
    recordSetAside(record) {
      records.with({ outcome: `quarantined_${record.reason}` }).add();
      logger.error("usage record in quarantine", {
        partition: record.partition,
        reason: record.reason,
        ...(record.epoch === null ? {} : { epoch: String(record.epoch) }),
        ...(record.seq === null ? {} : { seq: String(record.seq) }),
        error: new Error(record.error),
      });
    },
    credited(outcome, reason) {
      credits.with({ outcome, reason }).add();
      if (outcome === "conflict") logger.error("grant refused: its key was used for another input", { reason });
    },
    usageAgentFailed(error) {
      faults.with({ part: "usage_agent" }).add();
      logger.error("usage agent lost its session", { error });
    },
    usageRoundFailed: roundFailed(logger, faults),
  };
}

function roundFailed(logger: Logger, faults: CheapCounter): BillingEvents["usageRoundFailed"] {
  return (job, error) => {
    faults.with({ part: job.replaceAll(" ", "_") }).add();
    logger.error("a round of the usage path failed", { reason: job, error });
  };
}
