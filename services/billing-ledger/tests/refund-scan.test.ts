import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openDb, type Db } from "@codex/db";
import { schema } from "../src/index.ts";
import { createRefundScanStore } from "../src/store/refund-store.ts";
import type { Tables } from "../src/store/schema.ts";
import { book, usageOf } from "./_book.ts";
import { accountIn, fund, startWorld, Worker, type World } from "./_util.ts";

// Where the search for refunds looks: the watermarks of workers that live, and of all others once.

let world: World;
let db: Db<Tables>;
beforeAll(async () => {
  // The service's own search is over before there is anything to find.
  world = await startWorld({ AUTO_REFUND_POLL_MS: "600000" });
  db = openDb<Tables>({ url: world.database.urlFor("app", schema), schema, applicationName: "test" });
}, 60_000);
afterAll(async () => {
  await db.close();
  await world.stop();
}, 30_000);

async function booked(records: number): Promise<bigint> {
  const worker = await Worker.open(world);
  const accountId = accountIn(3);
  await fund(world, accountId, { paid: 1_000n });
  const leaseId = await worker.lease(accountId, 100n);
  await book(
    db,
    worker.epoch,
    Array.from({ length: records }, (_none, index) => usageOf(index + 1, accountId, leaseId, 1n)),
  );
  return BigInt(worker.epoch);
}

const lastSeen = (epoch: bigint, days: number): Promise<unknown> =>
  world.query("update gateway_epoch set last_seen_at = now() - make_interval(days => $2) where epoch = $1", [
    epoch,
    days,
  ]);

test("given workers that live and workers long gone, then a search that begins looks at both, and goes on with those that live", async () => {
  const [old, young] = [await booked(2), await booked(3)];
  await lastSeen(old, 30);
  const scan = createRefundScanStore(db);
  const found = await scan.claim(16);
  expect(found.toSorted((a, b) => Number(a.epoch - b.epoch))).toEqual([
    { epoch: old, partition: 3, after: 0n, upTo: 2n },
    { epoch: young, partition: 3, after: 0n, upTo: 3n },
  ]);
  // Whoever is at it has it to himself.
  expect(await createRefundScanStore(db).claim(16)).toEqual([]);
  for (const range of found) await scan.advance(range);
  expect(await scan.claim(16)).toEqual([]);

  const [oldAgain, youngAgain] = [await booked(1), await booked(1)];
  await lastSeen(oldAgain, 3);
  const now = await scan.claim(16);
  expect(now.map(({ epoch }) => epoch)).toEqual([youngAgain]);
  for (const range of now) await scan.advance(range);
  // It sends what it had kept: a sign of life.
  await lastSeen(oldAgain, 0);
  expect(await scan.claim(16)).toMatchObject([{ epoch: oldAgain }]);
});

test("given more than is asked for, then no more is claimed, and the rest by the next", async () => {
  await booked(1);
  await booked(1);
  const scan = createRefundScanStore(db);
  const [first, ...more] = await scan.claim(1);
  const [second] = await scan.claim(1);
  expect(more).toEqual([]);
  expect(second?.epoch).not.toBe(first?.epoch);
  expect(second).toBeDefined();
});
