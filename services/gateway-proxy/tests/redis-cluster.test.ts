import { ManualClock, newId } from "@codex/kernel";
import { eventually, leakCheck, startRedisCluster, type RedisCluster } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Cluster, Redis } from "ioredis";
import type { Limited, Limits } from "../src/domain/limits.ts";
import { redisChannelExchange } from "../src/store/redis-channel-exchange.ts";
import { redisLimits } from "../src/store/redis-limits.ts";
import { RedisTurns } from "../src/store/redis-turns.ts";
import { stateOf } from "./_channel.ts";

// Three masters, each with a third of the slots: a script whose keys are not of one slot is refused there (CROSSSLOT).

const leaks = leakCheck();
let servers: RedisCluster;
let cluster: Cluster;

beforeAll(async () => {
  servers = await startRedisCluster();
  const { ports, password } = servers;
  cluster = new Cluster(
    ports.map((port) => ({ host: "127.0.0.1", port })),
    { redisOptions: { password } },
  );
  await eventually(() => cluster.status === "ready", { what: "the client to know the cluster" });
}, 60_000);

afterAll(async () => {
  cluster.disconnect();
  await servers.stop();
  await leaks.assertClean();
}, 30_000);

const wide: Limits = { requestsPerMinute: 1_000, tokensPerMinute: 1_000_000, concurrentRequests: 2 };

function customer(): Limited {
  return { accountId: newId("acc"), keyId: newId("key"), limits: { key: wide, account: wide } };
}

/** How many keys each master holds. */
async function keysByMaster(): Promise<readonly number[]> {
  return Promise.all(
    servers.ports.map(async (port) => {
      const redis = new Redis({ host: "127.0.0.1", port, password: servers.password });
      try {
        return await redis.dbsize();
      } finally {
        redis.disconnect();
      }
    }),
  );
}

test("given customers on every master, when they take, renew and end, then each is counted whole, and no script crosses slots", async () => {
  const store = redisLimits(new RedisTurns(cluster, 10_000), { workerId: "w1", leaseMs: 30_000 });
  const customers = Array.from({ length: 40 }, customer);
  for (const of of customers) {
    const requestIds = [newId("req"), newId("req")];
    for (const requestId of requestIds)
      expect((await store.take(of, { requestId, tokens: 10, slot: true })).refusal).toBeUndefined();
    const third = { requestId: newId("req"), tokens: 10, slot: true };
    expect((await store.take(of, third)).refusal).toMatchObject({ limit: "concurrency" });
    await store.renew([{ of, requestIds }]);
    store.end(of, requestIds[0]!, { key: 5, account: 5 });
    await eventually(async () => (await store.take(of, third)).refusal === undefined, { what: "the slot to be free" });
  }
  expect(await store.beat()).toBe(1);
  // Each customer has three keys; a cluster that has them all on one node would prove nothing.
  const held = await keysByMaster();
  for (const count of held) expect(count).toBeGreaterThan(0);
  expect(held.reduce((sum, count) => sum + count, 0)).toBe(3 * customers.length + 1);
}, 60_000);

test("given channels on every master, when two workers tell of all of them at once, then both know the sum", async () => {
  const clock = new ManualClock();
  const nowMs = (): number => clock.now().getTime();
  const [one, other] = ["w1", "w2"].map((workerId) =>
    redisChannelExchange(new RedisTurns(cluster, 10_000), workerId, nowMs),
  );
  const told = Array.from({ length: 20 }, () => ({
    channelId: newId("chn"),
    day: 20_000,
    counts: { spent: 7n, requests: 2 },
    report: stateOf({}, clock).report(),
  }));
  await one!.tell(told);
  const answers = await other!.tell(told);
  expect(answers.map(({ total }) => total)).toEqual(told.map(() => ({ spent: 14n, requests: 4 })));
  expect(await one!.read(told[0]!.channelId, 20_000)).toMatchObject({ total: { spent: 14n, requests: 4 } });
}, 30_000);
