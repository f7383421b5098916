import { eventually } from "@codex/testkit";
import { Numbers } from "./accounts.ts";
import { startBilling } from "./billing-process.ts";
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

/** Long enough for some tens of millions of rows. */
const auditMsMax = 900_000;

/**
 * The rows are audited and searched for refunds by billing's own jobs, as they would have been in life: from then on both look
 * at what is new. Answers the seconds that the audit took.
 */
export async function audited(world: BenchWorld): Promise<number> {
  const billing = await startBilling(world);
  try {
    const run = await eventually(
      async () => {
        const { rows } = await world.admin.query<{ took_ms: number; broken: string[] }>(
          "select took_ms, broken from audit_run where mode = 'full' order by id desc limit 1",
        );
        return rows[0];
      },
      { what: "the full audit", timeoutMs: auditMsMax, everyMs: 1_000 },
    );
    await eventually(
      async () => {
        const { rows } = await world.admin.query(
          `select from gateway_cursor c left join refund_scan_position p using (epoch, partition)
           where c.contiguous > coalesce(p.scanned, 0) limit 1`,
        );
        return rows.length === 0;
      },
      { what: "the search for refunds", timeoutMs: auditMsMax, everyMs: 1_000 },
    );
    if (run.broken.length > 0) throw new Error(`the audit found what breaks the books: ${run.broken.join(", ")}`);
    return run.took_ms / 1_000;
  } finally {
    await billing.kill();
  }
}

/** What a batch of the measure finds: statistics of now, nothing dirty to write out first. The same before and after. */
export async function settle(world: BenchWorld): Promise<void> {
  await world.admin.query("vacuum (analyze)");
  await world.admin.query("checkpoint");
}
