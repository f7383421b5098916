import { openDb } from "@codex/db";
import { systemClock, type Scope } from "@codex/kernel";
import type { Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";
import { setTimeout as delay } from "node:timers/promises";
import { auditorEvents } from "./audit-events.ts";
import { auditLedger } from "./app/audit-ledger.ts";
import { sealDays, verifySeals } from "./app/seal-days.ts";
import type { AuditRun } from "./app/audit-ports.ts";
import type { BillingConfig } from "./config.ts";
import { startRounds } from "./rounds.ts";
import { createAuditStore } from "./store/audit-store.ts";
import { auditChecks } from "./store/audit/checks.ts";
import { createSealStore } from "./store/seal-store.ts";
import { schema, type Tables } from "./store/schema.ts";

/** A full audit reads the whole book; nothing waits for it. */
export const auditTimeoutMs = 3_600_000;

/** Sealed days whose rows every full audit reads again; the program reads all of them. */
const verifiedDays = 31;
const dayMs = 86_400_000;

function dayBefore(now: Date, days: number): string {
  return new Date(now.getTime() - days * dayMs).toISOString().slice(0, 10);
}

/**
 * The auditor as a job of every replica, of which one works at a time. It has a connection of its own, so that neither a long
 * audit nor its long timeout touches what customers wait for. Every replica shows the latest result, whoever found it.
 */
export function startAuditor(parts: {
  readonly config: BillingConfig;
  readonly scope: Scope;
  readonly logger: Logger;
  readonly meter: Meter;
}): void {
  const { config, scope, logger, meter } = parts;
  const events = auditorEvents(logger, meter);
  const db = openDb<Tables>({
    url: config.databaseUrl,
    schema,
    applicationName: "billing-ledger audit",
    connectionsMax: 1,
    statementTimeoutMs: auditTimeoutMs,
  });
  scope.defer("audit database", () => db.close());
  const store = createAuditStore(db);
  const seals = createSealStore(db);
  const verifyLatest = (): ReturnType<typeof verifySeals> =>
    verifySeals(seals, { from: dayBefore(systemClock.now(), verifiedDays) });
  let latest: AuditRun | undefined;
  let stopping = false;
  observe(meter, () => latest);
  const rounds = startRounds({
    everyMs: config.auditEveryMs,
    round: async () => {
      await sealDays(seals);
      await auditLedger({ store, events, clock: systemClock, verifySeals: verifyLatest }, config.auditFullEveryMs);
      latest = await store.latest();
    },
    onFailure: (error) => {
      if (!stopping) events.auditFailed(error);
    },
  });
  scope.defer("auditor", () => {
    stopping = true;
    return cancelled(rounds.stop(), () => db.cancel());
  });
}

const cancelEveryMs = 100;

/** An audit reads for minutes, and nobody who stops this process waits for that: what runs is cancelled until nothing does. */
async function cancelled(stopped: Promise<void>, cancel: () => Promise<void>): Promise<void> {
  const state = { ended: false };
  const end = stopped.finally(() => {
    state.ended = true;
  });
  while (!state.ended) {
    // Where Postgres does not answer, the audit fails by itself.
    await cancel().catch(() => undefined);
    await Promise.race([end, delay(cancelEveryMs)]);
  }
}

function observe(meter: Meter, latest: () => AuditRun | undefined): void {
  const ids = new Set([...auditChecks.map((check) => check.id), "seal-chain", "seal-contents"]);
  meter
    .createObservableGauge("billing_audit_broken", {
      description: "1 where the latest audit found what breaks the books",
    })
    .addCallback((result) => {
      const run = latest();
      if (run === undefined) return;
      for (const id of ids) result.observe(run.broken.includes(id) ? 1 : 0, { invariant: id });
    });
  meter
    .createObservableGauge("billing_audit_age_seconds", { description: "Time since the latest finished audit" })
    .addCallback((result) => {
      const run = latest();
      if (run !== undefined) result.observe((Date.now() - run.at.getTime()) / 1_000);
    });
}
