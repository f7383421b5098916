import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { usagePartitions } from "@codex/contracts";
import { eventually } from "@codex/testkit";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, balanceOf, fund, startWorld, Worker, type World } from "./_util.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld({ USAGE_WRITERS: "1" });
});
afterAll(async () => {
  expect(await brokenInvariants(world.query)).toEqual([]);
  await world.stop();
});

/** Partitions by the session that owns them, from what Postgres knows: the locks. */
const owners = async (): Promise<number[]> => {
  const rows = await world.query<{ count: string }>(
    `select count(*) from pg_locks where locktype = 'advisory' and granted and objsubid = 2 and objid < 16
       and database = (select oid from pg_database where datname = current_database()) group by pid order by 1`,
  );
  return rows.map((row) => Number(row.count));
};

const owned = (expected: readonly number[], what: string): Promise<unknown> =>
  eventually(async () => JSON.stringify(await owners()) === JSON.stringify(expected), { what, timeoutMs: 10_000 });

test("given one replica, when a second starts, then they share the partitions; when one goes, the other takes over, and no usage is lost or doubled", async () => {
  await owned([usagePartitions], "one owner of everything");
  const accounts = Array.from({ length: usagePartitions }, (_, partition) => accountIn(partition));
  for (const accountId of accounts) await fund(world, accountId, { paid: 10_000n });
  const worker = await Worker.open(world);
  const leases = await Promise.all(accounts.map((accountId) => worker.lease(accountId, 5_000n)));
  let rounds = 0;
  const sendRound = async (): Promise<void> => {
    rounds += 1;
    await Promise.all(
      accounts.map((accountId, index) => worker.send([worker.usage(accountId, leases[index]!, { input: 1 })])),
    );
  };
  await sendRound();
  const second = await world.startReplica();
  await sendRound();
  await owned([usagePartitions / 2, usagePartitions / 2], "two owners with a half each");
  await sendRound();
  // The connection of one writer dies as in a crash: its locks go with it, and somebody else is there.
  await world.query(
    `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 2 and objid < 16
       and database = (select oid from pg_database where datname = current_database()) limit 1`,
  );
  await sendRound();
  await owned([usagePartitions / 2, usagePartitions / 2], "two owners again");
  await second.stop();
  await sendRound();
  await owned([usagePartitions], "one owner of everything again");
  for (const partition of accounts.keys()) await worker.confirmed(partition, rounds, 15_000);
  for (const accountId of accounts)
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(10_000n - BigInt(rounds) * 15n);
}, 90_000);

test("given the bus goes away, when it is back, then usage that was sent before and after is booked once", async () => {
  const accountId = accountIn(0);
  await fund(world, accountId, { paid: 1_000n });
  const worker = await Worker.open(world);
  const leaseId = await worker.lease(accountId, 500n);
  await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
  await world.nats.kill();
  await world.nats.restart();
  await eventually(
    async () => {
      await worker.send([worker.usage(accountId, leaseId, { input: 1 }, { seq: 2 })], { id: "after-restart" });
      return true;
    },
    { what: "a publish after the restart", timeoutMs: 15_000 },
  );
  await eventually(async () => (await worker.watermark(0)) >= 2, { what: "both records", timeoutMs: 15_000 });
  expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(970n);
}, 60_000);

test("given a running service, when it is stopped, then what opened last closes first", async () => {
  const replica = await world.startReplica();
  await replica.stop();
  const { closedOrder } = replica;
  expect(closedOrder.at(0)).toBe("http");
  expect(closedOrder.slice(-5)).toEqual(["outbox relay", "bus", "database", "admin listener", "telemetry"]);
  // Between them stand the background jobs: each ends while it can still reach the database and the bus.
  const inOrder = ["http", "rpc", "grant consumer", "usage agent 1", "price publisher", "outbox relay"];
  expect(closedOrder.filter((name) => inOrder.includes(name))).toEqual(inOrder);
});
