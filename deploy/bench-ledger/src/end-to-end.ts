import { leaseGrant, usageEnvelope, usagePartitions, type SpoolRecord } from "@codex/contracts";
import { setTimeout as delay } from "node:timers/promises";
import type { Numbers } from "./accounts.ts";
import { makeRecord, Traffic } from "./accounts.ts";
import { startBilling, type BillingProcess } from "./billing-process.ts";
import { spreadOf, type Spread } from "./spread.ts";
import type { BenchWorld } from "./world.ts";

/** Envelopes as a gateway sends them: by partition, at most so many records. */
const envelopeRecords = 100;
const tickMs = 10;
const pollMs = 5;

/** One worker's spool: sends records, and knows when the ledger has committed them. */
export class BenchSender {
  private readonly world: BenchWorld;
  private readonly traffic: Traffic;
  readonly numbers: Numbers;
  private readonly open: { partition: number; last: number; madeAt: number }[] = [];
  readonly lags: number[] = [];

  constructor(world: BenchWorld, numbers: Numbers) {
    this.world = world;
    this.numbers = numbers;
    this.traffic = new Traffic(world.accounts);
  }

  async send(count: number): Promise<void> {
    const lists: SpoolRecord[][] = Array.from({ length: usagePartitions }, () => []);
    for (let index = 0; index < count; index += 1) {
      const account = this.traffic.next();
      lists[account.partition]?.push(
        makeRecord(account, this.numbers.take(account.partition), this.world.priceVersion),
      );
    }
    const madeAt = performance.now();
    const sent: Promise<unknown>[] = [];
    for (const [partition, records] of lists.entries()) {
      for (let from = 0; from < records.length; from += envelopeRecords) {
        const part = records.slice(from, from + envelopeRecords);
        const [first, last] = [part[0]?.seq ?? 0, part.at(-1)?.seq ?? 0];
        this.open.push({ partition, last, madeAt });
        sent.push(
          this.world.bus.publish(usageEnvelope, {
            id: `${String(this.world.epoch)}-${String(partition)}-${String(first)}-${String(last)}`,
            params: { partition: String(partition) },
            data: { epoch: this.world.epoch, partition, first, last, records: part },
          }),
        );
      }
    }
    await Promise.all(sent);
  }

  /** Looks what is committed; answers how many envelopes are open. */
  async look(): Promise<number> {
    const { rows } = await this.world.admin.query<{ partition: number; contiguous: string }>(
      "select partition, contiguous from gateway_cursor where epoch = $1",
      [this.world.epoch],
    );
    const marks = new Map(rows.map((row) => [row.partition, Number(row.contiguous)]));
    const now = performance.now();
    for (let index = this.open.length - 1; index >= 0; index -= 1) {
      const one = this.open[index];
      if (!one || (marks.get(one.partition) ?? 0) < one.last) continue;
      this.lags.push(now - one.madeAt);
      this.open.splice(index, 1);
    }
    return this.open.length;
  }

  async drained(timeoutMs: number): Promise<void> {
    const until = performance.now() + timeoutMs;
    while ((await this.look()) > 0) {
      if (performance.now() > until) throw new Error("the ledger did not come to the end of the backlog");
      await delay(pollMs);
    }
  }
}

export interface DrainFigures {
  readonly perSecond: number;
  readonly cpuMsPerThousand: number;
  readonly rssMb: readonly number[];
}

/** Fills the stream, then lets billing drain it: the sustained rate, with nobody else at work. */
export async function drain(sender: BenchSender, billing: BillingProcess, records: number): Promise<DrainFigures> {
  const rssMb: number[] = [];
  const before = billing.usage();
  const from = performance.now();
  const sampling = setInterval(() => rssMb.push(billing.usage().rssMb), 2_000);
  for (let left = records; left > 0; left -= 5_000) await sender.send(Math.min(5_000, left));
  await sender.drained(600_000);
  clearInterval(sampling);
  const seconds = (performance.now() - from) / 1_000;
  const after = billing.usage();
  return {
    perSecond: Math.round(records / seconds),
    cpuMsPerThousand: ((after.cpuSeconds - before.cpuSeconds) * 1_000_000) / records,
    rssMb: [...rssMb, after.rssMb],
  };
}

export interface LagFigures {
  readonly offered: number;
  readonly lag: Spread;
  readonly leaseMiss: Spread;
}

/** A steady rate for so long; beside it a lease is asked for 20 times a second. */
export async function steady(
  world: BenchWorld,
  sender: BenchSender,
  perSecond: number,
  seconds: number,
): Promise<LagFigures> {
  sender.lags.length = 0;
  const asks: number[] = [];
  const stopping = new AbortController();
  const looking = repeat(stopping.signal, pollMs, () => sender.look());
  const asking = repeat(stopping.signal, 50, async () => {
    const account = world.accounts[Math.floor(Math.random() * world.accounts.length)];
    if (!account) return;
    const before = performance.now();
    await world.bus.call(leaseGrant, {
      epoch: world.epoch,
      requestNo: 1_000_000 + leaseNo++,
      accountId: account.accountId,
      minimumMicroTokens: 1n,
      wantMicroTokens: 1n,
    });
    asks.push(performance.now() - before);
  });
  const from = performance.now();
  let sent = 0;
  while (performance.now() - from < seconds * 1_000) {
    const due = Math.floor(((performance.now() - from) / 1_000) * perSecond);
    if (due > sent) await sender.send(due - sent);
    sent = Math.max(sent, due);
    await delay(tickMs);
  }
  await sender.drained(120_000);
  stopping.abort();
  await Promise.all([looking, asking]);
  return { offered: Math.round(perSecond), lag: spreadOf(sender.lags), leaseMiss: spreadOf(asks) };
}

let leaseNo = 0;

async function repeat(signal: AbortSignal, everyMs: number, work: () => Promise<unknown>): Promise<void> {
  while (!signal.aborted) {
    await work();
    await delay(everyMs);
  }
}

/** Seconds from a kill -9 of billing, with usage on its way, to the next commit by a process started at once. */
export async function recovery(
  world: BenchWorld,
  sender: BenchSender,
  billing: BillingProcess,
): Promise<{ seconds: number; next: BillingProcess }> {
  await sender.send(2_000);
  await billing.kill();
  const from = performance.now();
  await sender.send(2_000);
  const next = await startBilling(world);
  await sender.drained(120_000);
  return { seconds: (performance.now() - from) / 1_000, next };
}
