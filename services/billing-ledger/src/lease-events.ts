import { createCounter, type CheapCounter, type Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";
import type { LeaseEvents } from "./app/lease-ports.ts";

/** Telemetry of leases that come back, by themselves or from lost workers. */
export function leaseEvents(logger: Logger, meter: Meter, faults: CheapCounter): LeaseEvents {
  const reclaims = createCounter(meter, "billing_leases_reclaimed", "Leases taken back from lost workers");
  const returns = createCounter(
    meter,
    "billing_lease_returns",
    "Answered returns of idle money, by whether any was freed",
  );
  return {
    leasesReturned(freed) {
      returns.with({ outcome: freed > 0n ? "freed" : "nothing" }).add();
    },
    leasesReclaimed({ accountId, leases: count, freed }) {
      reclaims.add(count);
      logger.error("leases of a lost worker reclaimed", { accountId, count, amountMicroTokens: freed });
    },
    reclaimFailed(error) {
      faults.with({ part: "lease_reclaim" }).add();
      logger.error("leases of lost workers could not be looked for", { error });
    },
  };
}
