import { Numbers } from "./accounts.ts";
import { runBatches } from "./sql-alone.ts";
import type { BenchWorld } from "./world.ts";

/** As large as billing's own batches get. */
const batchRecords = 2_000;
/** Connections at the same time, as a billing has writers. */
const lanes = 2;

/**
 * Books so many records through the batch function, spread over the partitions: usage, transfers, entries and balances grow
 * as they would in life, with every constraint and index. Answers the seconds it took.
 */
export async function prefill(world: BenchWorld, rows: number): Promise<number> {
  const { rows: opened } = await world.admin.query<{ epoch: string }>("select open_epoch('bench prefill') as epoch");
  const own = { ...world, epoch: Number(opened[0]?.epoch) };
  const partitions = [...new Set(world.accounts.map(({ partition }) => partition))].toSorted((a, b) => a - b);
  const batches = Math.ceil(rows / batchRecords / partitions.length);
  const numbers = new Numbers();
  const from = performance.now();
  const rest = partitions.values();
  const lane = async (): Promise<void> => {
    for (const partition of rest) {
      const accounts = world.accounts.filter((account) => account.partition === partition);
      await runBatches(own, numbers, { name: "prefill", accounts, size: batchRecords, hot: 0.3 }, batches);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return (performance.now() - from) / 1_000;
}

/** What a batch of the measure finds: statistics of now, nothing dirty to write out first. The same before and after. */
export async function settle(world: BenchWorld): Promise<void> {
  await world.admin.query("vacuum (analyze)");
  await world.admin.query("checkpoint");
}
