import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { watermarkGet, type LeaseCloseRecord, type UsageRecord } from "@codex/contracts";
import { openDb, sqlState, type Db } from "@codex/db";
import type { AccountId, LeaseId } from "@codex/kernel";
import type { BatchPosition, BookableRecord, WriterSession } from "../src/app/ports.ts";
import { schema } from "../src/index.ts";
import type { Tables } from "../src/store/schema.ts";
import { openWriterSession } from "../src/store/writer-session.ts";
import { usageOf } from "./_book.ts";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, balanceOf, fund, startWorld, Worker, type World } from "./_util.ts";

/** The writer that the test holds, in partitions that the service's own writers cannot claim meanwhile. */
let world: World;
let db: Db<Tables>;
let session: WriterSession;
beforeAll(async () => {
  world = await startWorld({ USAGE_WRITERS: "1" });
  db = openDb<Tables>({ url: world.database.urlFor("app", schema), schema, applicationName: "test" });
  session = await openWriterSession(db);
});
afterAll(async () => {
  await session.close();
  await db.close();
  expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
  await world.stop();
});

interface Customer {
  readonly partition: number;
  readonly accountId: AccountId;
  readonly leaseId: LeaseId;
}

async function customers(worker: Worker, partitions: readonly number[]): Promise<readonly Customer[]> {
  return Promise.all(
    partitions.map(async (partition) => {
      const accountId = accountIn(partition);
      await fund(world, accountId, { paid: 1_000n });
      return { partition, accountId, leaseId: await worker.lease(accountId, 400n) };
    }),
  );
}

function bookable(epoch: number, { partition }: Customer, record: UsageRecord | LeaseCloseRecord): BookableRecord {
  const cost = record.type === "usage" ? record.costMicroTokens : 0n;
  return {
    spooled: { epoch, partition, record, payloadHash: cost, raw: "{}", streamSeq: 1 },
    cost,
    hold: record.type === "usage" ? record.holdMicroTokens : 0n,
    chargeMismatch: false,
  };
}

const closeOf = (seq: number, { accountId, leaseId }: Customer, settled: bigint): LeaseCloseRecord => ({
  type: "lease_close",
  seq,
  accountId,
  leaseId,
  settledMicroTokens: settled,
});

const unkept = (partitions: readonly Customer[]): BatchPosition[] =>
  partitions.map(({ partition }) => ({ partition, term: null, floor: null }));

const book = (records: readonly BookableRecord[], positions: readonly BatchPosition[]) =>
  session.applyBatch({ records, positions, aside: [], firstStreamSeq: 1, lastStreamSeq: 1 });

async function watermarks(epoch: number): Promise<Record<number, number>> {
  const answer = await world.bus.call(watermarkGet, { epoch });
  if (!answer.ok) throw new Error("refused");
  return Object.fromEntries(answer.value.watermarks.map(({ partition, contiguous }) => [partition, contiguous]));
}

describe("one batch of several partitions", () => {
  test("given usage and a close in each, when it is booked, then every account pays its own, and every watermark and lease goes on", async () => {
    const worker = await Worker.open(world);
    const all = await customers(worker, [9, 2, 14]);
    const records = all.flatMap((one, index) => {
      const cost = BigInt(100 + index);
      return [
        bookable(worker.epoch, one, usageOf(1, one.accountId, one.leaseId, cost)),
        bookable(worker.epoch, one, closeOf(2, one, cost)),
      ];
    });
    const outcome = await book(records, unkept(all));
    expect(outcome).toMatchObject({ inserted: 6, duplicates: 0, settled: 303n, writtenOff: 0n, workerMismatches: 0 });
    for (const [index, { accountId }] of all.entries())
      expect(await balanceOf(world, accountId)).toMatchObject({
        paidMicroTokens: 900n - BigInt(index),
        heldMicroTokens: 0n,
      });
    expect(await watermarks(worker.epoch)).toEqual({ 2: 2, 9: 2, 14: 2 });
    const again = await book(records, unkept(all));
    expect(again).toMatchObject({ inserted: 0, duplicates: 6, settled: 0n });
  });

  test("given a close in one partition whose usage is missing, then that lease stays reserved, and the other is freed", async () => {
    const worker = await Worker.open(world);
    const [first, second] = await customers(worker, [3, 4]);
    await book(
      [
        bookable(worker.epoch, first!, closeOf(2, first!, 5n)),
        bookable(worker.epoch, second!, usageOf(1, second!.accountId, second!.leaseId, 7n)),
        bookable(worker.epoch, second!, closeOf(2, second!, 7n)),
      ],
      unkept([first!, second!]),
    );
    expect((await balanceOf(world, first!.accountId)).heldMicroTokens).toBe(400n);
    expect((await balanceOf(world, second!.accountId)).heldMicroTokens).toBe(0n);
    await book([bookable(worker.epoch, first!, usageOf(1, first!.accountId, first!.leaseId, 5n))], unkept([first!]));
    expect(await balanceOf(world, first!.accountId)).toMatchObject({ paidMicroTokens: 995n, heldMicroTokens: 0n });
  });

  test("given the same number in two partitions, one booked before with another payload, then that one alone is set aside", async () => {
    const worker = await Worker.open(world);
    const [first, second] = await customers(worker, [5, 6]);
    const usage = (one: Customer, cost: bigint): BookableRecord =>
      bookable(worker.epoch, one, usageOf(1, one.accountId, one.leaseId, cost));
    await book([usage(first!, 10n)], unkept([first!]));
    const outcome = await book([usage(first!, 11n), usage(second!, 12n)], unkept([first!, second!]));
    expect(outcome).toMatchObject({ inserted: 1, settled: 12n, aside: [{ partition: 5, seq: 1, reason: "conflict" }] });
  });

  test("given another writer has begun with one of them, when it is booked, then nothing of it is, and no place moves", async () => {
    const worker = await Worker.open(world);
    const [first, second] = await customers(worker, [10, 11]);
    const positions = async (): Promise<unknown> =>
      world.query("select partition, term, floor from ingest_position where partition in (10, 11) order by partition");
    const before = await positions();
    const term = (partition: number): Promise<bigint> =>
      world
        .query<{ term: string }>("select term from ingest_position where partition = $1", [partition])
        .then(([row]) => BigInt(row?.term ?? 0));
    const refused = book(
      [
        bookable(worker.epoch, first!, usageOf(1, first!.accountId, first!.leaseId, 10n)),
        bookable(worker.epoch, second!, usageOf(1, second!.accountId, second!.leaseId, 10n)),
      ],
      [
        { partition: 10, term: await term(10), floor: 1_000 },
        { partition: 11, term: (await term(11)) - 1n, floor: 1_000 },
      ],
    );
    await expect(refused.catch((error: unknown) => Promise.reject(new Error(sqlState(error))))).rejects.toThrow(
      "CX001",
    );
    expect(await positions()).toEqual(before);
    expect(await watermarks(worker.epoch)).toEqual({});
    expect((await balanceOf(world, first!.accountId)).paidMicroTokens).toBe(1_000n);
  });
});
