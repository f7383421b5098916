import type { Clock } from "@codex/kernel";
import type { AuditEvents, AuditReport, AuditStore, CheckResult } from "./audit-ports.ts";

/**
 * One round of the auditor: everything when the last clean full audit is older than `fullEveryMs` (or there was none), else
 * what was written since the last audit that found nothing; so a break stays in sight until it is mended. Undefined when
 * another replica is at it.
 */
export async function auditLedger(
  deps: {
    readonly store: AuditStore;
    readonly events: AuditEvents;
    readonly clock: Clock;
    /** Sealed days against their rows; part of a full audit. */
    readonly verifySeals: () => Promise<readonly CheckResult[]>;
  },
  fullEveryMs: number,
): Promise<AuditReport | undefined> {
  const { store, events, clock } = deps;
  const lastFull = await store.latestClean("full");
  const full = lastFull === undefined || clock.now().getTime() - lastFull.at.getTime() >= fullEveryMs;
  const since = full ? undefined : (await store.latestClean())?.position;
  const found = await store.run(full ? "full" : "incremental", since, true);
  if (found === undefined) return undefined;
  const report = full ? { ...found, results: [...found.results, ...(await deps.verifySeals())] } : found;
  await store.keep(report);
  events.auditFinished(report);
  return report;
}
