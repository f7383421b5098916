import type { Meter } from "@opentelemetry/api";
import type { Logger } from "./logger.ts";

/** What @codex/db says of an audit log that it has read; structural, so that this library does not depend on that one. */
interface ChainSeen {
  readonly count: bigint;
  readonly broken: bigint | undefined;
  readonly head: string;
}

export interface ActWatchEvents {
  found(state: ChainSeen): void;
  failed(error: unknown): void;
}

/**
 * Telemetry of the daily look at a service's audit log (SEC-147): the gauge `audit_log_broken` is 1 from the look that found a line
 * that is not as it was written, and the log names the line. The last hash is logged too, so that logs kept elsewhere prove it.
 */
export function actWatchEvents(logger: Logger, meter: Meter): ActWatchEvents {
  let isBroken = 0;
  meter
    .createObservableGauge("audit_log_broken", { description: "1: a line of the audit log is not as it was written" })
    .addCallback((result) => result.observe(isBroken));
  return {
    found({ count, broken, head }) {
      isBroken = broken === undefined ? 0 : 1;
      if (broken === undefined) logger.info("the audit log holds", { count: Number(count), chainHead: head });
      else logger.error("the audit log is broken", { seq: broken, chainHead: head });
    },
    failed(error) {
      logger.warn("the audit log could not be read", { error });
    },
  };
}
