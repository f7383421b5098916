import { createCounter, type Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";

/** Business telemetry of the key registry: one function an event. */
export interface KeyEvents {
  tombstoneFault(error: unknown): void;
  repairFault(error: unknown): void;
  tombstonesRepaired(count: number): void;
  /** Repeat display was switched off: what had been kept is gone. */
  sealedForgotten(count: number): void;
  dataKeysRewrapped(count: number): void;
}

export function keyEvents(logger: Logger, meter: Meter): KeyEvents {
  const faults = createCounter(meter, "keys_tombstone_faults", "Tombstones that could not be written or compared");
  return {
    tombstoneFault(error) {
      faults.add();
      logger.error("revocation is not in the bucket yet", { error });
    },
    repairFault(error) {
      faults.add();
      logger.error("revocations could not be compared with the bucket", { error });
    },
    tombstonesRepaired(count) {
      if (count > 0) logger.warn("revocations put back into the bucket", { count });
    },
    sealedForgotten(count) {
      if (count > 0) logger.warn("repeat display is off: sealed keys were forgotten", { count });
    },
    dataKeysRewrapped(count) {
      logger.info("data keys are under the present master key", { count });
    },
  };
}
