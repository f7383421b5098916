import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { Numbers } from "./accounts.ts";
import { startBilling } from "./billing-process.ts";
import { BenchSender, drain, recovery, steady } from "./end-to-end.ts";
import { leaseHit } from "./lease-hit.ts";
import { runPgbench } from "./pgbench.ts";
import type { Spread } from "./spread.ts";
import { runBatches } from "./sql-alone.ts";
import { bytesPerEvent } from "./storage.ts";
import { startWorld, type BenchWorld } from "./world.ts";

/** `pnpm bench:ledger`: everything of one line in one run, so that the ratios are of the same minute of the same machine. */

const { values } = parseArgs({
  options: {
    /** Of each steady run. */
    seconds: { type: "string", default: "20" },
    backlog: { type: "string", default: "200000" },
    batches: { type: "string", default: "100" },
  },
});

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
const ms = (spread: Spread): string =>
  `p50 ${spread.p50.toFixed(1)} ms, p99 ${spread.p99.toFixed(1)} ms, p99.9 ${spread.p999.toFixed(1)} ms`;

async function sqlAlone(world: BenchWorld): Promise<number> {
  const batches = Number(values.batches);
  const numbers = new Numbers();
  // An epoch of its own: its numbers must not meet those of the run over the bus.
  const { rows } = await world.admin.query<{ epoch: string }>("select open_epoch('bench alone') as epoch");
  const own = { ...world, epoch: Number(rows[0]?.epoch) };
  const accounts = world.accounts.filter((account) => account.partition === 3);
  const mixed = await runBatches(own, numbers, { name: "30 % hot, zipf", accounts, size: 1_000, hot: 0.3 }, batches);
  const wide = await runBatches(own, numbers, { name: "zipf", accounts, size: 1_000, hot: 0 }, batches);
  const hot = await runBatches(
    own,
    numbers,
    { name: "one hot account", accounts: accounts.slice(0, 1), size: 1_000, hot: 1 },
    batches,
  );
  const small = await runBatches(own, numbers, { name: "20 records", accounts, size: 20, hot: 0.3 }, batches);
  for (const one of [mixed, wide, hot, small]) {
    print(
      `  ${one.name}: ${String(one.perSecond)} records/s, p50 ${one.p50Ms.toFixed(1)} ms, p99 ${one.p99Ms.toFixed(1)} ms`,
    );
  }
  return mixed.perSecond;
}

async function run(world: BenchWorld): Promise<void> {
  const seconds = Number(values.seconds);
  print(`load of the machine at the start: ${(loadavg()[0] ?? 0).toFixed(1)}`);
  const debits = await runPgbench(world, Math.min(seconds, 10));
  print(
    `(a) one-row debits by pgbench: ${debits === undefined ? "no pgbench on this machine (Debian: postgresql-contrib)" : `${String(debits)}/s`}`,
  );
  print("(b) apply_batch alone, one connection, 1,000 records a batch:");
  const alone = await sqlAlone(world);
  const hit = await leaseHit();
  print(`admission on a lease that is there: p50 ${hit.p50.toFixed(1)} µs, p99 ${hit.p99.toFixed(1)} µs`);
  let billing = await startBilling(world);
  try {
    const sender = new BenchSender(world, new Numbers());
    const drained = await drain(sender, billing, Number(values.backlog));
    print(
      `(c) JetStream to committed debit: ${String(drained.perSecond)} events/s, billing ${drained.cpuMsPerThousand.toFixed(1)} ms CPU per 1,000, RSS ${drained.rssMb.join(" ")} MB`,
    );
    print(
      `    ${((drained.perSecond / alone) * 100).toFixed(0)} % of (b)${debits === undefined ? "" : `, ${(drained.perSecond / debits).toFixed(1)} × (a)`}`,
    );
    for (const [name, share] of [
      ["a third", 1 / 3],
      ["two thirds", 2 / 3],
    ] as const) {
      const figures = await steady(world, sender, drained.perSecond * share, seconds);
      print(`    at ${name} (${String(figures.offered)}/s): lag ${ms(figures.lag)}`);
      print(`    lease miss beside it: ${ms(figures.leaseMiss)}`);
    }
    const back = await recovery(world, sender, billing);
    billing = back.next;
    print(`    kill -9 of billing: everything booked ${back.seconds.toFixed(1)} s later, its start included`);
  } finally {
    await billing.kill();
  }
  const bytes = await bytesPerEvent(world);
  print(
    `bytes an event: ${bytes.heapAndKey.toFixed(1)} (row and key), ${bytes.receiptIndex.toFixed(1)} more for the receipt index, of ${String(bytes.events)} events`,
  );
  print(`load of the machine at the end: ${(loadavg()[0] ?? 0).toFixed(1)}`);
}

const world = await startWorld(() => undefined);
try {
  await run(world);
} finally {
  await world.stop();
}
