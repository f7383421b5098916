import { describe, expect, test } from "@jest/globals";
import type { ReceivedUsage } from "./apply-usage.ts";
import { combineBatches } from "./combine-batches.ts";
import type { SpooledRecord } from "./ports.ts";

function part(partition: number, records = 1, seq = partition): ReceivedUsage {
  return {
    records: Array.from({ length: records }, () => ({ partition }) as SpooledRecord),
    aside: [],
    firstStreamSeq: seq,
    lastStreamSeq: seq + 10,
    positions: [{ partition, term: 1n, floor: seq + 10 }],
  };
}

const partitionsOf = (whole: ReceivedUsage): number[] => whole.positions.map(({ partition }) => partition);

describe("parts of several partitions", () => {
  test("given they come within the linger, when it is over, then they are one batch that spans them all", async () => {
    const applied: ReceivedUsage[] = [];
    const combiner = combineBatches({
      apply: async (whole) => void applied.push(whole),
      lingerMs: 5,
      recordsMax: 1_000,
    });
    await Promise.all([combiner.add(part(3, 2)), combiner.add(part(1)), combiner.add(part(7))]);
    expect(applied).toHaveLength(1);
    expect(applied[0]).toMatchObject({
      firstStreamSeq: 1,
      lastStreamSeq: 17,
      positions: [
        { partition: 3, floor: 13 },
        { partition: 1, floor: 11 },
        { partition: 7, floor: 17 },
      ],
    });
    expect(applied[0]?.records.map(({ partition }) => partition)).toEqual([3, 3, 1, 7]);
  });

  test("given a transaction that runs, when others come, then they wait for it and go together", async () => {
    const applied: number[][] = [];
    const first = Promise.withResolvers<undefined>();
    const begun = Promise.withResolvers<undefined>();
    const combiner = combineBatches({
      apply: async (whole) => {
        applied.push(partitionsOf(whole));
        begun.resolve(undefined);
        if (applied.length === 1) await first.promise;
      },
      lingerMs: 0,
      recordsMax: 1_000,
    });
    const all = [combiner.add(part(0))];
    await begun.promise;
    all.push(combiner.add(part(1)), combiner.add(part(2)));
    expect(applied).toEqual([[0]]);
    first.resolve(undefined);
    await Promise.all(all);
    expect(applied).toEqual([[0], [1, 2]]);
  });

  test("given a linger that never ends, when there are records enough, then the batch goes at once", async () => {
    const applied: number[][] = [];
    const combiner = combineBatches({
      apply: async (whole) => void applied.push(partitionsOf(whole)),
      lingerMs: 2_000_000_000,
      recordsMax: 10,
    });
    await Promise.all([combiner.add(part(0, 4)), combiner.add(part(1, 6))]);
    expect(applied).toEqual([[0, 1]]);
  });

  test("given one part that the ledger refuses, when the batch fails, then each is tried alone and that one alone fails", async () => {
    const applied: number[][] = [];
    const combiner = combineBatches({
      apply: async (whole) => {
        if (partitionsOf(whole).includes(1)) throw new Error("another writer has begun");
        applied.push(partitionsOf(whole));
      },
      lingerMs: 0,
      recordsMax: 1_000,
    });
    const settled = await Promise.allSettled([0, 1, 2].map((partition) => combiner.add(part(partition))));
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(applied).toEqual([[0], [2]]);
    await combiner.add(part(5));
    expect(applied.at(-1)).toEqual([5]);
  });
});
