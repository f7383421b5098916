import { leaseGrant } from "@codex/contracts";
import { setTimeout as delay } from "node:timers/promises";
import type { BillingProcess } from "./billing-process.ts";
import { meterCpu, type CpuPerEvent } from "./cpu-meter.ts";
import { rssMb } from "./process-usage.ts";
import { pollMs, sendSteadily, type BenchSender } from "./sender.ts";
import { spreadOf, type Spread } from "./spread.ts";
import type { BenchWorld } from "./world.ts";

const chunkRecords = 5_000;
const drainTimeoutMs = 1_800_000;

export interface DrainFigures {
  readonly perSecond: number;
  readonly cpu: CpuPerEvent;
  /** Of billing, from the first record to the last, evenly in time. */
  readonly rssMb: readonly number[];
}

/** Sends and drains at once, the generator on the same cores: the rate of the whole arrangement. */
export async function drain(
  world: BenchWorld,
  sender: BenchSender,
  billing: BillingProcess,
  records: number,
): Promise<DrainFigures> {
  return measured(world, sender, billing, records, () => fill(sender, records));
}

/** Fills the stream while billing is down; `start` then brings it up, and it drains with nobody else at work. */
export async function drainBacklog(
  world: BenchWorld,
  sender: BenchSender,
  start: () => Promise<BillingProcess>,
  records: number,
): Promise<DrainFigures & { readonly billing: BillingProcess }> {
  await fill(sender, records);
  const billing = await start();
  return { ...(await measured(world, sender, billing, records, () => Promise.resolve())), billing };
}

async function fill(sender: BenchSender, records: number): Promise<void> {
  for (let left = records; left > 0; left -= chunkRecords) await sender.send(Math.min(chunkRecords, left));
}

async function measured(
  world: BenchWorld,
  sender: BenchSender,
  billing: BillingProcess,
  records: number,
  work: () => Promise<void>,
): Promise<DrainFigures> {
  const memory: number[] = [];
  const cpu = meterCpu(world, billing);
  const from = performance.now();
  const sampling = setInterval(() => memory.push(rssMb(billing.pid)), 500);
  try {
    await work();
    await sender.drained(drainTimeoutMs);
  } finally {
    clearInterval(sampling);
  }
  const seconds = (performance.now() - from) / 1_000;
  return {
    perSecond: Math.round(records / seconds),
    cpu: cpu(records),
    rssMb: evenly([...memory, rssMb(billing.pid)], 12),
  };
}

function evenly(values: readonly number[], count: number): readonly number[] {
  if (values.length <= count) return values;
  return Array.from({ length: count }, (_, index) => {
    return values[Math.round((index * (values.length - 1)) / (count - 1))] ?? 0;
  });
}

export interface LagFigures {
  readonly offered: number;
  readonly lag: Spread;
  readonly leaseMiss: Spread;
  readonly cpu: CpuPerEvent;
}

/** A steady rate for so long; beside it a lease is asked for 20 times a second. */
export async function steady(
  world: BenchWorld,
  sender: BenchSender,
  billing: BillingProcess,
  load: { readonly perSecond: number; readonly seconds: number },
): Promise<LagFigures> {
  sender.lags.length = 0;
  const [before, cpu] = [sender.sent, meterCpu(world, billing)];
  const asks: number[] = [];
  const stopping = new AbortController();
  const looking = repeat(stopping.signal, pollMs, () => sender.look());
  const asking = repeat(stopping.signal, 50, async () => {
    asks.push(await askLease(world));
  });
  await sendSteadily(sender, load.perSecond, load.seconds);
  await sender.drained(120_000);
  stopping.abort();
  await Promise.all([looking, asking]);
  return {
    offered: Math.round(load.perSecond),
    lag: spreadOf(sender.lags),
    leaseMiss: spreadOf(asks),
    cpu: cpu(sender.sent - before),
  };
}

let leaseNo = 1_000_000;

/** Milliseconds that a grant of one micro-token takes, for an account at random. */
async function askLease(world: BenchWorld): Promise<number> {
  const account = world.accounts[Math.floor(Math.random() * world.accounts.length)];
  if (!account) throw new Error("no accounts");
  const before = performance.now();
  await world.bus.call(leaseGrant, {
    epoch: world.epoch,
    requestNo: leaseNo++,
    accountId: account.accountId,
    minimumMicroTokens: 1n,
    wantMicroTokens: 1n,
  });
  return performance.now() - before;
}

export async function repeat(signal: AbortSignal, everyMs: number, work: () => Promise<unknown>): Promise<void> {
  while (!signal.aborted) {
    await work();
    await delay(everyMs);
  }
}
