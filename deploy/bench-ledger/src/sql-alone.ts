import { openWriterSession, schema, type BillingTables, type BookableRecord } from "@codex/billing-ledger";
import { openDb } from "@codex/db";
import { hash } from "node:crypto";
import type { Numbers } from "./accounts.ts";
import { makeRecord, Traffic, type BenchAccount } from "./accounts.ts";
import type { BenchWorld } from "./world.ts";

export interface BatchFigures {
  readonly name: string;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Records that are ready for the ledger. */
function batchOf(world: BenchWorld, traffic: Traffic, numbers: Numbers, size: number): BookableRecord[] {
  return Array.from({ length: size }, () => {
    const account = traffic.next();
    const record = makeRecord(account, numbers.take(account.partition), world.priceVersion);
    const cost = record.type === "usage" ? record.costMicroTokens : 0n;
    const payloadHash = hash("sha256", String(record.seq), "buffer").readBigInt64BE(0);
    return {
      spooled: {
        epoch: world.epoch,
        partition: account.partition,
        record,
        payloadHash,
        raw: "",
        streamSeq: record.seq,
      },
      cost,
      hold: cost * 2n,
      chargeMismatch: false,
    };
  });
}

/** The batch function by one connection and no bus: client and server together, batch after batch, as often as told. */
export async function runBatches(
  world: BenchWorld,
  numbers: Numbers,
  shape: { name: string; accounts: readonly BenchAccount[]; size: number; hot: number },
  batches: number,
  atEnd: () => Promise<unknown> = () => Promise.resolve(),
): Promise<BatchFigures> {
  const db = openDb<BillingTables>({ url: world.appUrl, schema, applicationName: "bench" });
  const session = await openWriterSession(db);
  const traffic = new Traffic(shape.accounts, shape.hot);
  const partitions = [...new Set(shape.accounts.map((account) => account.partition))];
  const positions = partitions.map((partition) => ({ partition, term: null, floor: null }));
  const times: number[] = [];
  try {
    for (let round = 0; round < batches; round += 1) {
      const records = batchOf(world, traffic, numbers, shape.size);
      const before = performance.now();
      await session.applyBatch({ positions, records, aside: [], firstStreamSeq: round, lastStreamSeq: round });
      const ms = performance.now() - before;
      // The first ones plan and warm.
      if (round >= 5) times.push(ms);
    }
    await atEnd();
  } finally {
    await session.close();
    await db.close();
  }
  const sum = times.reduce((total, ms) => total + ms, 0);
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return {
    name: shape.name,
    perSecond: Math.round((times.length * shape.size * 1_000) / sum),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}
