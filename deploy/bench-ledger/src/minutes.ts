import { setTimeout as delay } from "node:timers/promises";
import { Numbers } from "./accounts.ts";
import type { BillingProcess } from "./billing-process.ts";
import { meterCpu, type CpuPerEvent } from "./cpu-meter.ts";
import { repeat } from "./end-to-end.ts";
import { nextDay } from "./next-day.ts";
import { ms, print } from "./print.ts";
import { rssMb } from "./process-usage.ts";
import { BenchSender, pollMs, sendSteadily } from "./sender.ts";
import { spreadOf, type Spread } from "./spread.ts";
import { autovacuums, tableSizes } from "./storage.ts";
import type { BenchWorld } from "./world.ts";

export interface LongRun {
  readonly lag: Spread;
  /** Of billing, at the end of each minute. */
  readonly rssMb: readonly number[];
  /** Times autovacuum came by during the run, by table. */
  readonly vacuumed: ReadonlyMap<string, number>;
  /** Rows that tomorrow's table has got, and how many were sent for it. */
  readonly tomorrow: { readonly rows: number; readonly sent: number };
  readonly cpu: CpuPerEvent;
}

const minuteMs = 60_000;

/**
 * A steady rate for so many minutes, one line a minute. In the middle a worker of the next day begins (next-day.ts) and the
 * load goes over to it, so that rows go to another table from then on. Autovacuum is as Postgres has it.
 */
export async function longRun(
  world: BenchWorld,
  today: BenchSender,
  billing: BillingProcess,
  load: { readonly perSecond: number; readonly minutes: number },
): Promise<LongRun> {
  today.lags.length = 0;
  const [sentBefore, vacuumedBefore, cpu] = [today.sent, await autovacuums(world), meterCpu(world, billing)];
  const senders = [today];
  const stopping = new AbortController();
  const looking = repeat(stopping.signal, pollMs, async () => {
    for (const sender of senders) await sender.look();
  });
  const minutes = tellMinutes(world, senders, billing, stopping.signal);
  const half = (load.minutes * 60) / 2;
  // The leases of the next day are asked for while the load goes on, so that they are there at "midnight".
  const [tomorrow] = await Promise.all([nextDay(world), sendSteadily(today, load.perSecond, half)]);
  const next = new BenchSender(tomorrow, new Numbers());
  senders.push(next);
  print(`      the day changes: usage goes to usage_row_${String(tomorrow.day)} from now on`);
  await sendSteadily(next, load.perSecond, half);
  for (const sender of senders) await sender.drained(120_000);
  stopping.abort();
  await looking;
  const { lags, memory } = await minutes;
  const { rows } = await world.admin.query<{ n: string }>(
    // eslint-disable-next-line security/parameterised-sql -- a number of this program.
    `select count(*) as n from usage_row_${String(tomorrow.day)}`,
  );
  const vacuumed = await autovacuums(world);
  return {
    lag: spreadOf(lags),
    rssMb: memory,
    vacuumed: new Map(
      [...vacuumed]
        .map(([name, count]) => [name, count - (vacuumedBefore.get(name) ?? 0)] as const)
        .filter(([, count]) => count > 0),
    ),
    tomorrow: { rows: Number(rows[0]?.n), sent: next.sent },
    cpu: cpu(today.sent + next.sent - sentBefore),
  };
}

/** Prints a line a minute, until told to stop; the last one is of what is left. */
async function tellMinutes(
  world: BenchWorld,
  senders: readonly BenchSender[],
  billing: BillingProcess,
  signal: AbortSignal,
): Promise<{ readonly lags: readonly number[]; readonly memory: readonly number[] }> {
  const [lags, memory]: [number[], number[]] = [[], []];
  for (let minute = 1; !signal.aborted; minute += 1) {
    await delay(minuteMs, undefined, { signal }).catch(() => undefined);
    const own = senders.flatMap((sender) => sender.lags.splice(0));
    if (own.length === 0) break;
    for (const lag of own) lags.push(lag);
    memory.push(rssMb(billing.pid));
    const sizes = (await tableSizes(world)).map(({ name, mb }) => `${name} ${mb.toFixed(0)}`);
    print(`      minute ${String(minute)}: lag ${ms(spreadOf(own))}; billing ${(memory.at(-1) ?? 0).toFixed(0)} MB`);
    print(`        tables, MB: ${sizes.join(", ")}`);
  }
  return { lags, memory };
}
