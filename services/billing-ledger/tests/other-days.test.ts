import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openDb, type Db } from "@codex/db";
import pg from "pg";
import type { BookableRecord, WriterSession } from "../src/app/ports.ts";
import { schema } from "../src/index.ts";
import type { Tables } from "../src/store/schema.ts";
import { openWriterSession } from "../src/store/writer-session.ts";
import { usageOf } from "./_book.ts";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, fund, startWorld, Worker, type World } from "./_util.ts";

// Each day has a table of usage, and a batch has nothing to do with those of other days, however many they become.

let world: World;
let db: Db<Tables>;
let session: WriterSession;
beforeAll(async () => {
  world = await startWorld({ USAGE_WRITERS: "1" });
  db = openDb<Tables>({ url: world.database.urlFor("app", schema), schema, applicationName: "test" });
  session = await openWriterSession(db);
}, 60_000);
afterAll(async () => {
  await session.close();
  await db.close();
  expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
  await world.stop();
}, 30_000);

const partition = 7;
const booked = { inserted: 1, duplicates: 0, aside: [] };

test("given somebody works on the table of another day alone, then batches are booked meanwhile: in order, out of order and into a gap", async () => {
  const worker = await Worker.open(world);
  const accountId = accountIn(partition);
  await fund(world, accountId, { paid: 1_000n });
  const leaseId = await worker.lease(accountId, 400n);
  const book = (...seqs: readonly number[]) =>
    session.applyBatch({
      records: seqs.map((seq): BookableRecord => ({
        spooled: {
          epoch: worker.epoch,
          partition,
          record: usageOf(seq, accountId, leaseId, 1n),
          payloadHash: 1n,
          raw: "{}",
          streamSeq: seq,
        },
        cost: 1n,
        hold: 1n,
        chargeMismatch: false,
      })),
      positions: [{ partition, term: null, floor: null }],
      aside: [],
      firstStreamSeq: 1,
      lastStreamSeq: 1,
    });
  const cursor = () =>
    world.query(
      "select contiguous::integer, highest::integer from gateway_cursor where epoch = $1 and partition = $2",
      [worker.epoch, partition],
    );
  // The first of a stream makes its watermark, the long way.
  expect(await book(1)).toMatchObject(booked);
  const day = Math.floor(worker.epoch / 1_000_000) - 3;
  await world.query("select ensure_usage_day($1)", [day]);
  const busy = new pg.Client({ connectionString: world.database.adminUrl, options: `-c search_path=${schema}` });
  await busy.connect();
  try {
    await busy.query("begin");
    await busy.query(`lock table usage_row_${String(day)} in access exclusive mode`);
    for (const seq of [2, 3]) expect(await book(seq)).toMatchObject(booked);
  } finally {
    await busy.end();
  }
  expect(await cursor()).toEqual([{ contiguous: 3, highest: 1 }]);
  expect(await book(6, 7)).toMatchObject({ inserted: 2 });
  expect(await cursor()).toEqual([{ contiguous: 3, highest: 7 }]);
  // Below the highest, so each is looked for: one is there, two are not.
  expect(await book(5, 6)).toMatchObject({ inserted: 1, duplicates: 1 });
  expect(await book(4)).toMatchObject(booked);
  expect(await cursor()).toEqual([{ contiguous: 7, highest: 7 }]);
  expect(await book(8)).toMatchObject(booked);
  expect(await book(8)).toMatchObject({ inserted: 0, duplicates: 1 });
});
