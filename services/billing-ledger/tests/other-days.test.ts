import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openDb, type Db } from "@codex/db";
import pg from "pg";
import { schema } from "../src/index.ts";
import type { Tables } from "../src/store/schema.ts";
import { book, usageOf } from "./_book.ts";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, fund, startWorld, Worker, type World } from "./_util.ts";

// Each day has a table of usage, and a batch has nothing to do with those of other days, however many they become.

let world: World;
let db: Db<Tables>;
beforeAll(async () => {
  world = await startWorld({ USAGE_WRITERS: "1" });
  db = openDb<Tables>({ url: world.database.urlFor("app", schema), schema, applicationName: "test" });
}, 60_000);
afterAll(async () => {
  await db.close();
  expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
  await world.stop();
}, 30_000);

const partition = 3;
const booked = { inserted: 1, duplicates: 0, aside: [] };

test("given somebody works on the table of another day alone, then batches are booked meanwhile: in order, out of order and into a gap", async () => {
  const worker = await Worker.open(world);
  const accountId = accountIn(partition);
  await fund(world, accountId, { paid: 1_000n });
  const leaseId = await worker.lease(accountId, 400n);
  const bookAll = (...seqs: readonly number[]) =>
    book(
      db,
      worker.epoch,
      seqs.map((seq) => usageOf(seq, accountId, leaseId, 1n)),
    );
  const cursor = () =>
    world.query(
      "select contiguous::integer, highest::integer from gateway_cursor where epoch = $1 and partition = $2",
      [worker.epoch, partition],
    );
  // The first of a stream makes its watermark, the long way.
  expect(await bookAll(1)).toMatchObject(booked);
  const day = Math.floor(worker.epoch / 1_000_000) - 3;
  await world.query("select ensure_usage_day($1)", [day]);
  const busy = new pg.Client({ connectionString: world.database.adminUrl, options: `-c search_path=${schema}` });
  await busy.connect();
  try {
    await busy.query("begin");
    await busy.query(`lock table usage_row_${String(day)} in access exclusive mode`);
    for (const seq of [2, 3]) expect(await bookAll(seq)).toMatchObject(booked);
  } finally {
    await busy.end();
  }
  expect(await cursor()).toEqual([{ contiguous: 3, highest: 1 }]);
  expect(await bookAll(6, 7)).toMatchObject({ inserted: 2 });
  expect(await cursor()).toEqual([{ contiguous: 3, highest: 7 }]);
  // Below the highest, so each is looked for: one is there, two are not.
  expect(await bookAll(5, 6)).toMatchObject({ inserted: 1, duplicates: 1 });
  expect(await bookAll(4)).toMatchObject(booked);
  expect(await cursor()).toEqual([{ contiguous: 7, highest: 7 }]);
  expect(await bookAll(8)).toMatchObject(booked);
  expect(await bookAll(8)).toMatchObject({ inserted: 0, duplicates: 1 });
});
