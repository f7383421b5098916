import { loadavg } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Numbers } from "./accounts.ts";
import { startBilling, type BillingProcess } from "./billing-process.ts";
import { cpuText, meterCpu, type CpuPerEvent } from "./cpu-meter.ts";
import { drain, drainBacklog, steady, type DrainFigures } from "./end-to-end.ts";
import { growth } from "./growth.ts";
import { leaseHit } from "./lease-hit.ts";
import { longRun } from "./minutes.ts";
import { runPgbench } from "./pgbench.ts";
import { audited, prefill, settle } from "./prefill.ts";
import { ms, print, printJudged } from "./print.ts";
import { recovery } from "./recovery.ts";
import { BenchSender } from "./sender.ts";
import { runBatches } from "./sql-alone.ts";
import { bytesPerEvent } from "./storage.ts";
import { score } from "./target.ts";
import { startWorld, type BenchWorld } from "./world.ts";

/** `pnpm bench:ledger`: everything of one line in one run, so that the ratios are of the same minute of the same machine. */

const { values } = parseArgs({
  options: {
    /** Of each steady run. */
    seconds: { type: "string", default: "20" },
    backlog: { type: "string", default: "200000" },
    batches: { type: "string", default: "100" },
    minutes: { type: "string", default: "0" },
    rows: { type: "string", default: "0" },
    /** Tables of usage, one a day, that there are besides those that are written. */
    days: { type: "string", default: "365" },
  },
});

/** A positive whole number, or zero where that means "leave it out". */
function countOf(name: keyof typeof values, least: number): number {
  const count = Number(values[name]);
  if (!Number.isInteger(count) || count < least)
    throw new RangeError(`--${name} must be a whole number from ${String(least)} on`);
  return count;
}

const seconds = countOf("seconds", 1);
const backlog = countOf("backlog", 1_000);
/** The first five of each shape warm up. */
const batches = countOf("batches", 10);
const minutes = countOf("minutes", 0);
const rows = countOf("rows", 0);
const days = countOf("days", 0);

/** "No more than before", with what two runs of the same differ by. */
const sameMax = 1.1;
/** The share of the sends that is drained while the generator runs; the rest of --backlog is filled first. */
const togetherMax = 200_000;

/** An epoch of its own: its numbers must not meet those of another part of the run. */
async function ofOwnEpoch(world: BenchWorld): Promise<BenchWorld> {
  const { rows } = await world.admin.query<{ epoch: string }>("select open_epoch('bench alone') as epoch");
  return { ...world, epoch: Number(rows[0]?.epoch) };
}

async function sqlAlone(world: BenchWorld): Promise<{ readonly perSecond: number; readonly cpu: CpuPerEvent }> {
  const numbers = new Numbers();
  const own = await ofOwnEpoch(world);
  const accounts = world.accounts.filter((account) => account.partition === 3);
  const often = { name: "30 % hot, zipf", accounts, size: 1_000, hot: 0.3 };
  // What follows a checkpoint is dearer: each page that is touched goes into the log as a whole, once.
  await runBatches(own, numbers, often, Math.ceil(batches / 2));
  const count = meterCpu(world);
  const mixed = await runBatches(own, numbers, often, batches);
  const cpu = count(batches * 1_000);
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
  printJudged("30 % hot, zipf", mixed.perSecond, { what: "records/s", bound: 36_000, is: "at least" });
  printJudged("one hot account", hot.perSecond, { what: "records/s", bound: 76_000, is: "at least" });
  print(
    `      30 % hot, zipf: Postgres ${cpu.postgres.toFixed(1)} µs CPU a record, client ${cpu.generator.toFixed(1)}`,
  );
  return { perSecond: mixed.perSecond, cpu };
}

/** The cost of a record with many rows in the tables, beside the cost with none. */
async function withRows(world: BenchWorld, empty: Awaited<ReturnType<typeof sqlAlone>>): Promise<void> {
  const took = await prefill(world, rows);
  const auditTook = await audited(world);
  await settle(world);
  print(
    `(b) again, with ${String(rows)} more rows (booked by apply_batch in ${took.toFixed(0)} s, audited in ${auditTook.toFixed(0)}):`,
  );
  const full = await sqlAlone(world);
  const [rate, cpu] = [full.perSecond / empty.perSecond, full.cpu.postgres / empty.cpu.postgres];
  print(`      rate ${rate.toFixed(2)} × that of the empty table, Postgres CPU a record ${cpu.toFixed(2)} ×`);
  printJudged("CPU a record, full to empty", cpu, { what: "×", bound: sameMax, is: "at most" });
}

/** What a small batch costs beside the tables of many days, and beside those of two. */
async function withDays(world: BenchWorld): Promise<void> {
  const own = await ofOwnEpoch(world);
  const numbers = new Numbers();
  const shape = { name: "", accounts: world.accounts.filter((one) => one.partition === 3), size: 20, hot: 0.3 };
  const costOf = async (): Promise<number> => {
    const count = meterCpu(world);
    await runBatches(own, numbers, shape, batches * 3);
    return count(batches * 3).postgres / 1_000;
  };
  const before = await costOf();
  await world.admin.query(
    "select ensure_usage_day(floor(extract(epoch from now()) / 86400)::bigint - day) from generate_series(1, $1::integer) day",
    [days],
  );
  const after = await costOf();
  print(
    `a batch of 20 records: Postgres ${before.toFixed(1)} ms of CPU, and ${after.toFixed(1)} with tables of ${String(days)} more days`,
  );
  printJudged("CPU a batch, many days to two", after / before, { what: "×", bound: sameMax, is: "at most" });
}

function printDrained(figures: DrainFigures): void {
  print(`      ${cpuText(figures.cpu)}`);
  print(`      billing's memory over time: ${figures.rssMb.map((mb) => mb.toFixed(0)).join(" ")} MB`);
}

async function together(
  world: BenchWorld,
  sender: BenchSender,
  billing: BillingProcess,
  beside: { readonly alone: number; readonly debits: number | undefined },
): Promise<number> {
  const drained = await drain(world, sender, billing, Math.min(backlog, togetherMax));
  const { perSecond } = drained;
  print(`(c) JetStream to committed debit, generator on the same cores: ${String(perSecond)} events/s`);
  printJudged("share of (b)", perSecond / beside.alone, { what: "of (b)", bound: 0.6, is: "at least" });
  if (beside.debits !== undefined)
    printJudged("beside (a)", perSecond / beside.debits, { what: "× (a)", bound: 10, is: "at least" });
  printDrained(drained);
  return perSecond;
}

async function lags(world: BenchWorld, sender: BenchSender, billing: BillingProcess, perSecond: number): Promise<void> {
  for (const { name, share, bound } of [
    { name: "a third", share: 1 / 3, bound: 50 },
    { name: "two thirds", share: 2 / 3, bound: 250 },
  ]) {
    const figures = await steady(world, sender, billing, { perSecond: perSecond * share, seconds });
    print(`    at ${name} of it (${String(figures.offered)}/s): lag ${ms(figures.lag)}`);
    printJudged("lag p99", figures.lag.p99, { what: "ms", bound, is: "at most" });
    print(`      lease miss beside it: ${ms(figures.leaseMiss)}`);
    printJudged("lease miss p99", figures.leaseMiss.p99, { what: "ms", bound: 25, is: "at most" });
    print(`      ${cpuText(figures.cpu)}`);
  }
}

async function minutesLong(
  world: BenchWorld,
  sender: BenchSender,
  billing: BillingProcess,
  perSecond: number,
): Promise<void> {
  print(`    ${String(minutes)} minutes at two thirds, a change of the day in the middle:`);
  const run = await longRun(world, sender, billing, { perSecond: (perSecond * 2) / 3, minutes });
  print(`      all of it: lag ${ms(run.lag)}`);
  printJudged("lag p99", run.lag.p99, { what: "ms", bound: 250, is: "at most" });
  const vacuumed = [...run.vacuumed].map(([name, count]) => `${name} ${String(count)}`).join(", ");
  print(`      autovacuum and autoanalyze came by: ${vacuumed === "" ? "never (the run was too short)" : vacuumed}`);
  printJudged("tables autovacuum came to", run.vacuumed.size, { what: "tables", bound: 1, is: "at least" });
  const { rows: kept, sent } = run.tomorrow;
  print(`      tomorrow's table has ${String(kept)} rows of ${String(sent)} sent`);
  printJudged("rows of the next day in its table", kept / sent, { what: "of those sent", bound: 1, is: "at least" });
  printJudged("memory, second half to first", growth(run.rssMb), { what: "×", bound: sameMax, is: "at most" });
  print(`      ${cpuText(run.cpu)}`);
}

async function recoveries(world: BenchWorld, sender: BenchSender, running: BillingProcess): Promise<BillingProcess> {
  let billing = running;
  for (const victim of ["billing", "nats", "postgres"] as const) {
    const back = await recovery(world, sender, billing, victim);
    billing = back.billing;
    print(`    kill -9 of ${victim}: everything booked ${back.seconds.toFixed(1)} s later, its start included`);
    printJudged("recovery", back.seconds, { what: "s", bound: 5, is: "at most" });
  }
  return billing;
}

async function overTheBus(
  world: BenchWorld,
  beside: { readonly alone: number; readonly debits: number | undefined },
): Promise<void> {
  const sender = new BenchSender(world, new Numbers());
  let billing = await startBilling(world);
  try {
    const perSecond = await together(world, sender, billing, beside);
    await lags(world, sender, billing, perSecond);
    if (minutes > 0) await minutesLong(world, sender, billing, perSecond);
    billing = await recoveries(world, sender, billing);
    await billing.kill();
    const drained = await drainBacklog(world, sender, () => startBilling(world), backlog);
    billing = drained.billing;
    print(`    a backlog of ${String(backlog)}, filled before billing starts: ${String(drained.perSecond)} events/s`);
    printJudged("share of (b)", drained.perSecond / beside.alone, { what: "of (b)", bound: 0.6, is: "at least" });
    printDrained(drained);
    printJudged("memory, second half to first", growth(drained.rssMb), { what: "×", bound: sameMax, is: "at most" });
  } finally {
    await billing.kill();
  }
}

async function run(world: BenchWorld): Promise<void> {
  print(`load of the machine at the start: ${(loadavg()[0] ?? 0).toFixed(1)}`);
  const debits = await runPgbench(world, Math.min(seconds, 10));
  print(
    `(a) one-row debits by pgbench: ${debits === undefined ? "no pgbench on this machine (Debian: postgresql-contrib)" : `${String(debits)}/s`}`,
  );
  await settle(world);
  print("(b) apply_batch alone, one connection, 1,000 records a batch:");
  const alone = await sqlAlone(world);
  if (rows > 0) await withRows(world, alone);
  const hit = await leaseHit();
  print(`admission on a lease that is there: p50 ${hit.p50.toFixed(1)} µs, p99 ${hit.p99.toFixed(1)} µs`);
  printJudged("lease hit p99", hit.p99, { what: "µs", bound: 50, is: "at most" });
  await overTheBus(world, { alone: alone.perSecond, debits });
  const bytes = await bytesPerEvent(world);
  print(
    `bytes an event: ${bytes.heapAndKey.toFixed(1)} (row and key), ${bytes.receiptIndex.toFixed(1)} more for the receipt index, of ${String(bytes.events)} events`,
  );
  printJudged("row and key", bytes.heapAndKey, { what: "bytes", bound: 160, is: "at most" });
  if (days > 0) await withDays(world);
  print(`load of the machine at the end: ${(loadavg()[0] ?? 0).toFixed(1)}`);
  const { met, of } = score();
  print(`${String(met)} of ${String(of)} targets met`);
}

const stopMs = 30_000;

const world = await startWorld(() => undefined);
try {
  await run(world);
} catch (error) {
  // Said before anything is stopped: with a server that is down, that may take as long as it likes.
  print(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
}
const inTime = await Promise.race([world.stop().then(() => true), delay(stopMs, false, { ref: false })]);
if (!inTime) {
  print("not everything stopped in time; what is left goes with this process");
  process.kill(process.pid, "SIGTERM");
}
