import { createCounter, type Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";
import type { LeaseEvents } from "./app/lease-ports.ts";
import type { LedgerEvents } from "./app/ports.ts";

/** Business telemetry of leases: one function an event. */
export function leaseEvents(logger: Logger, meter: Meter): LeaseEvents & Pick<LedgerEvents, "leaseDecided"> {
  const asks = createCounter(meter, "billing_leases", "Lease asks by outcome");
  const reclaims = createCounter(meter, "billing_leases_reclaimed", "Leases taken back from lost workers");
  const returns = createCounter(meter, "billing_lease_returns", "Returns of idle money, by whether any was freed");
  const faults = createCounter(meter, "billing_lease_reclaim_faults", "Looks for lost workers' leases that failed");
  return {
    leaseDecided(outcome) {
      asks.with({ outcome }).add();
    },
    leasesReturned(freed) {
      returns.with({ outcome: freed > 0n ? "freed" : "nothing" }).add();
    },
    leasesReclaimed({ accountId, leases: count, freed }) {
      reclaims.add(count);
      logger.error("leases of a lost worker reclaimed", { accountId, count, amountMicroTokens: freed });
    },
    reclaimFailed(error) {
      faults.add();
      logger.error("leases of lost workers could not be looked for", { error });
    },
  };
}
