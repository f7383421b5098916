import { createCounter, type Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";
import type { AuditEvents } from "./app/audit-ports.ts";

/** Telemetry of the auditor. What breaks the books is logged row by row: somebody must look at it before anything else. */
export interface AuditorEvents extends AuditEvents {
  auditFailed(error: unknown): void;
}

export function auditorEvents(logger: Logger, meter: Meter): AuditorEvents {
  const audits = createCounter(meter, "billing_audits", "Finished audits of the books by mode");
  const faults = createCounter(meter, "billing_audit_faults", "Audits that could not be finished");
  return {
    auditFinished({ mode, results, tookMs }) {
      audits.with({ mode }).add();
      for (const { id, says, offenders, more } of results) {
        if (offenders.length === 0) continue;
        const rows = new Error(`${offenders.join(" ")}${more ? " and more" : ""}`);
        logger.error("the books are broken", { name: id, reason: says, error: rows });
      }
      logger.debug("books audited", { kind: mode, durationMs: tookMs });
    },
    auditFailed(error) {
      faults.add();
      logger.error("the books could not be audited", { error });
    },
  };
}
