import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { UsageLine } from "@codex/contracts";
import { openDb } from "@codex/db";
import type { AccountId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { schema } from "../src/index.ts";
import type { Tables } from "../src/store/schema.ts";
import { createUsageExportStore } from "../src/store/usage-export-store.ts";
import { createUsageStore } from "../src/store/usage-store.ts";
import { book, usageOf } from "./_book.ts";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, fund, startWorld, Worker, type World } from "./_util.ts";

// What reading a customer's lines costs: what is shown, and not what there is.

let world: World;
let accountId: AccountId;
const linesThere = 3_000;

const openTestDb = () =>
  openDb<Tables>({ url: world.database.urlFor("app", schema), schema, applicationName: "test", connectionsMax: 1 });

beforeAll(async () => {
  // Nobody else reads lines meanwhile: what looks for refunds and audits has been there before there were any.
  world = await startWorld({ USAGE_WRITERS: "1", AUTO_REFUND_POLL_MS: "600000", AUDIT_EVERY_MS: "3600000" });
  accountId = accountIn(3);
  await fund(world, accountId, { paid: 1_000_000n });
  const worker = await Worker.open(world);
  const leaseId = await worker.lease(accountId, 100_000n);
  const db = openTestDb();
  for (let from = 1; from <= linesThere; from += 1_000) {
    const seqs = Array.from({ length: 1_000 }, (_none, index) => from + index);
    await book(
      db,
      worker.epoch,
      seqs.map((seq) => usageOf(seq, accountId, leaseId, 1n)),
    );
  }
  await db.close();
  // What the planner knows then: one account, and many lines of it.
  await world.query("analyze usage_row");
}, 60_000);

afterAll(async () => {
  expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
  await world.stop();
}, 30_000);

async function rowsRead(): Promise<number> {
  const [row] = await world.query<{ read: string }>(
    `select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) as read from pg_stat_user_tables
     where relname like 'usage_row_%'`,
  );
  return Number(row?.read);
}

/** Rows of usage that the work reads. What a connection has counted is there once it has ended. */
async function readBy(work: (db: ReturnType<typeof openTestDb>) => Promise<unknown>): Promise<number> {
  const before = await rowsRead();
  const db = openTestDb();
  await work(db);
  await db.close();
  let read = 0;
  await eventually(
    async () => {
      read = (await rowsRead()) - before;
      return read > 0;
    },
    { what: "the count of the connection" },
  );
  return read;
}

describe("an account with thousands of lines", () => {
  test("given a page, then no more is read than it shows, first page or later", async () => {
    const read = await readBy(async (db) => {
      const usage = createUsageStore(db);
      const first = await usage.page(accountId, 50, undefined);
      const second = await usage.page(accountId, 50, first.next ?? undefined);
      const ids = [...first.lines, ...second.lines].map(({ requestId }) => requestId);
      expect(ids).toHaveLength(100);
      expect(ids).toEqual([...new Set(ids)].toSorted().toReversed());
    });
    expect(read).toBeLessThanOrEqual(102);
  });

  test("given one request, then one line is read", async () => {
    let lines: readonly UsageLine[] = [];
    await readBy(async (db) => ({ lines } = await createUsageStore(db).page(accountId, 5, undefined)));
    const [, , wanted] = lines;
    if (!wanted) throw new Error("no lines");
    const read = await readBy(async (own) => {
      expect((await createUsageStore(own).find(accountId, wanted.requestId))?.line).toEqual(wanted);
    });
    expect(read).toBe(1);
  });

  test("given a part of an export, then no more is read than the part", async () => {
    const now = Date.now();
    const range = [new Date(now - 86_400_000), new Date(now + 86_400_000)] as const;
    const read = await readBy(async (db) => {
      const usage = createUsageExportStore(db);
      const first = await usage.between(accountId, ...range, 500, undefined);
      const second = await usage.between(accountId, ...range, 500, first.at(-1)?.requestId);
      expect(new Set([...first, ...second].map(({ requestId }) => requestId)).size).toBe(1_000);
      expect(await usage.between(accountId, range[1], range[1], 500, undefined)).toEqual([]);
    });
    expect(read).toBe(1_000);
  });
});
