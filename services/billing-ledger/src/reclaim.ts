import { connectBus } from "@codex/bus";
import { openDb } from "@codex/db";
import { AppError, formatAmount } from "@codex/kernel";
import { ConfigError, loadConfig } from "@codex/runtime";
import { parseArgs } from "node:util";
import { reclaimLeases } from "./app/reclaim-leases.ts";
import { toBusBalanceChanged } from "./bus/balance-changed.ts";
import { environment, reclaimConfig } from "./config.ts";
import { createLeaseStore } from "./store/lease-store.ts";
import { schema, type Tables } from "./store/schema.ts";

/**
 * One-shot: `reclaim.js --epoch <number>` gives back to the customers what the leases of one epoch hold, without waiting
 * for LEASE_RECLAIM_AFTER_MS: for a worker whose disk is known to be lost. What its spool still brings is written off.
 * Prints one JSON line. Exit 0, 1 (database or bus), 64 (usage) or 78 (configuration).
 */
async function run(epoch: number): Promise<void> {
  const { databaseUrl, natsServers } = loadConfig(reclaimConfig, environment());
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const bus = await connectBus(
    { servers: natsServers, name: "billing-ledger reclaim" },
    { logger: quiet, source: "billing-ledger" },
  );
  const db = openDb<Tables>({
    url: databaseUrl,
    schema,
    applicationName: "billing-ledger reclaim",
    connectionsMax: 1,
  });
  try {
    const leases = createLeaseStore(db, (balance) => toBusBalanceChanged(bus, balance));
    const reclaimed = await reclaimLeases({ leases, events: { leasesReclaimed: () => undefined } }, { epoch });
    const summary = {
      event: "leases reclaimed",
      epoch,
      leases: reclaimed.reduce((sum, each) => sum + each.leases, 0),
      accounts: new Set(reclaimed.map(({ accountId }) => accountId)).size,
      freed: formatAmount(reclaimed.reduce((sum, each) => sum + each.freed, 0n)),
    };
    process.stdout.write(`${JSON.stringify(summary)}\n`);
  } finally {
    await db.close();
    await bus.drain();
  }
}

function epochOf(args: readonly string[]): number | undefined {
  try {
    const { values } = parseArgs({ args: [...args], options: { epoch: { type: "string" } } });
    return /^[1-9]\d{0,15}$/.test(values.epoch ?? "") ? Number(values.epoch) : undefined;
  } catch {
    return undefined;
  }
}

const epoch = epochOf(process.argv.slice(2));
if (epoch === undefined) {
  process.stderr.write("usage: reclaim --epoch <number>\n");
  process.exitCode = 64;
} else {
  try {
    await run(epoch);
  } catch (error) {
    process.stderr.write(
      `${error instanceof AppError || error instanceof ConfigError ? error.message : String(error)}\n`,
    );
    process.exitCode = error instanceof ConfigError ? 78 : 1;
  }
}
