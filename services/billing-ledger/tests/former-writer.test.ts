import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { usagePartitions, type UsageRecord } from "@codex/contracts";
import { openDb, type Db } from "@codex/db";
import { idToUuid } from "@codex/kernel";
import type { WriterSession } from "../src/app/ports.ts";
import { schema } from "../src/index.ts";
import type { Tables } from "../src/store/schema.ts";
import { openWriterSession } from "../src/store/writer-session.ts";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, balanceOf, fund, startWorld, Worker, type World } from "./_util.ts";

/** While a release goes out, writers of the version before book by the signature of `apply_batch` that they know. */
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

const partition = 5;

/** One record, each argument as text, as 20261125T1120 declares them. */
async function bookAsBefore(epoch: number, record: UsageRecord): Promise<unknown> {
  const shape = [
    idToUuid(record.priceVersion),
    record.route,
    record.model,
    record.channel,
    record.status,
    record.httpStatus,
    record.errorCode,
    record.streamed,
    record.estimated,
    false,
    record.priceGroup,
    null,
  ];
  const { tokens } = record;
  const numbers = [0, record.durationMs, record.firstByteMs, tokens.input, tokens.output, tokens.cachedInput]
    .concat([tokens.cacheWrite, tokens.cacheWrite1h, tokens.reasoning, null, record.audioMs] as number[])
    .map((value) => (value === null ? "{NULL}" : `{${String(value)}}`));
  const { rows } = await db.pool.query<{ applied: unknown }>(
    `select apply_batch($1::smallint[], '{NULL}'::bigint[], '{NULL}'::bigint[], $2::bigint[], $3::uuid[], $4::uuid[], $5::uuid[],
       $6::jsonb, '{1}'::integer[], $7::bigint[], '{7}'::integer[], $8::uuid[], '{1}'::integer[], '{1}'::integer[], '{1}'::integer[],
       '{1}'::integer[], $9::bigint[], $10::bigint[], '{NULL}'::bigint[], $11::bigint[], $12::integer[], $13::integer[],
       $14::integer[], $15::integer[], $16::integer[], $17::integer[], $18::integer[], $19::integer[], $20::integer[],
       $21::integer[], '[]'::json, 1, 1) as applied`,
    [
      `{${String(partition)}}`,
      `{${String(epoch * usagePartitions + partition)}}`,
      `{${idToUuid(record.accountId)}}`,
      `{${idToUuid(record.leaseId)}}`,
      `{${idToUuid(record.keyId)}}`,
      JSON.stringify([shape]),
      `{${String(record.seq)}}`,
      `{${idToUuid(record.requestId)}}`,
      `{${String(record.costMicroTokens)}}`,
      `{${String(record.holdMicroTokens)}}`,
      ...numbers,
    ],
  );
  return rows[0]?.applied;
}

describe("writers of two versions at once", () => {
  test("given one books by the former signature and one by ours, when both book the same record, then it is booked once and both see the other's", async () => {
    const worker = await Worker.open(world);
    const accountId = accountIn(partition);
    await fund(world, accountId, { paid: 10_000n });
    const leaseId = await worker.lease(accountId, 5_000n);
    const [first, second, third] = [1, 2, 3].map(() => worker.usage(accountId, leaseId, { input: 10 }));
    if (!first || !second || !third) throw new Error("no records");
    const bookOurs = (record: UsageRecord, payloadHash: bigint) =>
      session.applyBatch({
        records: [
          {
            spooled: { epoch: worker.epoch, partition, record, payloadHash, raw: "{}", streamSeq: 1 },
            cost: record.costMicroTokens,
            hold: record.holdMicroTokens,
            chargeMismatch: false,
          },
        ],
        positions: [{ partition, term: null, floor: null }],
        aside: [],
        firstStreamSeq: 1,
        lastStreamSeq: 1,
      });
    const booked = { inserted: 1, duplicates: 0 };
    const known = { inserted: 0, duplicates: 1 };

    expect(await bookAsBefore(worker.epoch, first)).toMatchObject(booked);
    expect(await bookOurs(second, 7n)).toMatchObject(booked);
    expect(await bookAsBefore(worker.epoch, second)).toMatchObject(known);
    expect(await bookOurs(first, 7n)).toMatchObject(known);
    expect(await bookAsBefore(worker.epoch, third)).toMatchObject(booked);
    // Another payload under a known number: ours rolls back and comes again the long way, which keeps it aside.
    expect(await bookOurs(third, 8n)).toMatchObject({ inserted: 0, aside: [{ reason: "conflict" }] });

    const spent = [first, second, third].reduce((sum, record) => sum + record.costMicroTokens, 0n);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(10_000n - spent);
  });
});
