import { leaseGrant } from "@codex/contracts";
import { idToUuid, newId, type LeaseId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, balanceOf, fund, startWorld, Worker, type World } from "./_util.ts";

let world: World;
let intruder: pg.Client;

beforeAll(async () => {
  world = await startWorld();
  intruder = new pg.Client({ connectionString: world.database.adminUrl, options: "-c search_path=billing" });
  await intruder.connect();
});
afterAll(async () => {
  await intruder.end();
  await world.stop();
});

/** Resolves when a batch waits for what the intruder holds. */
async function batchWaits(): Promise<void> {
  await eventually(
    async () =>
      (
        await world.query(
          `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
            and query like '%apply_batch%'`,
        )
      ).length > 0,
    { what: "a batch that waits for the intruder" },
  );
}

const leaseOf = async (leaseId: LeaseId) =>
  (await world.query("select settled::text, state, ttl_ms from lease where id = $1", [idToUuid(leaseId)]))[0];

describe("a writer that does not hold the lock of the balance", () => {
  test.each([
    ["while its usage is booked", false],
    ["while its close is booked", true],
  ])(
    "given it changes a lease %s, then the batch is rolled back and booked again, once and whole",
    async (_name, closes) => {
      const accountId = accountIn(closes ? 3 : 2);
      await fund(world, accountId, { paid: 10_000n });
      const worker = await Worker.open(world);
      const leaseId = await worker.lease(accountId, 1_000n);
      const usage = worker.usage(accountId, leaseId, { input: 10 });
      const records = closes ? [usage, worker.close(accountId, leaseId, usage.costMicroTokens)] : [usage];
      await intruder.query("begin");
      await intruder.query("update lease set ttl_ms = ttl_ms + 1 where id = $1", [idToUuid(leaseId)]);
      await worker.send(records);
      await batchWaits();
      // The row is another one now than the batch has looked up.
      await intruder.query("commit");
      await worker.confirmed(closes ? 3 : 2, records.length, 20_000);
      expect(await leaseOf(leaseId)).toMatchObject({
        settled: String(usage.costMicroTokens),
        state: closes ? "closed" : "open",
      });
      const lines = await world.query("select charged::text from usage_line where request_id = $1", [
        idToUuid(usage.requestId),
      ]);
      expect(lines).toEqual([{ charged: String(usage.costMicroTokens) }]);
      const balance = await balanceOf(world, accountId);
      expect(balance.paidMicroTokens).toBe(10_000n - usage.costMicroTokens);
      expect(balance.heldMicroTokens).toBe(closes ? 0n : 1_000n - usage.costMicroTokens);
      expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
    },
  );
});

test("given a budget of a key that knows less than its lease holds, when the lease is settled, then it holds nothing, and not less", async () => {
  const accountId = accountIn(5);
  await fund(world, accountId, { paid: 10_000n });
  const [worker, keyId] = [await Worker.open(world), newId("key")];
  const granted = await world.bus.call(leaseGrant, {
    epoch: worker.epoch,
    requestNo: 1_000,
    accountId,
    minimumMicroTokens: 900n,
    wantMicroTokens: 900n,
    cap: { keyId, dailyMicroTokens: null, monthlyMicroTokens: null, totalMicroTokens: 1_000n },
  });
  if (!granted.ok) throw new Error(granted.code);
  const { leaseId } = granted.value;
  // As after a repair by hand, or a restored table.
  await intruder.query("update key_budget set reserved = 5 where key_id = $1", [idToUuid(keyId)]);
  const usage = worker.usage(accountId, leaseId, { input: 10 }, { keyId });
  await worker.send([usage, worker.close(accountId, leaseId, usage.costMicroTokens)]);
  await worker.confirmed(5, 2);
  const budgets = await world.query(
    "select period, spent::text, reserved::text from key_budget where key_id = $1 order by period",
    [idToUuid(keyId)],
  );
  expect(budgets).toEqual(
    ["day", "month", "total"].map((period) => ({ period, spent: String(usage.costMicroTokens), reserved: "0" })),
  );
  expect(await leaseOf(leaseId)).toMatchObject({ state: "closed" });
});
