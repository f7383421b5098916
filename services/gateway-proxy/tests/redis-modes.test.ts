import { newId } from "@codex/kernel";
import { connectRedis, redisMisfit, type RedisSettings } from "@codex/redis";
import { loadConfig, Secret } from "@codex/runtime";
import {
  eventually,
  leakCheck,
  startRedisCluster,
  startRedisSentinel,
  type RedisCluster,
  type RedisSentinel,
} from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { gatewayConfig } from "../src/config.ts";
import type { Limited } from "../src/domain/limits.ts";
import { redisLimits } from "../src/store/redis-limits.ts";
import { RedisTurns } from "../src/store/redis-turns.ts";
import { chat, startWorld, type World } from "./_world.ts";

// What the operator's Redis may be: one server, a cluster, or behind sentinels; and what is said when it is another one.

const leaks = leakCheck();
let world: World;
let cluster: RedisCluster;
let sentinel: RedisSentinel;

beforeAll(async () => {
  [world, cluster, sentinel] = await Promise.all([startWorld(), startRedisCluster(), startRedisSentinel()]);
}, 90_000);

afterAll(async () => {
  await world.stop();
  await Promise.all([cluster.stop(), sentinel.stop()]);
  await leaks.assertClean();
}, 60_000);

const plenty = 100_000_000_000n;
const none = { master: undefined, sentinelPassword: undefined };

function urlOf(port: number, password: string): string {
  return `redis://:${password}@127.0.0.1:${String(port)}`;
}

function nodeUrls(): readonly string[] {
  return cluster.ports.map((port) => urlOf(port, cluster.password));
}

/** Names of the gateway's keys in one server. */
async function keysIn(port: number, password: string): Promise<readonly string[]> {
  const redis = new Redis(urlOf(port, password));
  try {
    return await redis.keys("gw:*");
  } finally {
    redis.disconnect();
  }
}

/** Of a key that may make two requests a minute: three, on a gateway with these settings, once it counts in Redis. */
async function countedBy(
  settings: Readonly<Record<string, string>>,
  stored: () => Promise<readonly string[]>,
): Promise<readonly number[]> {
  const gateway = await world.startGateway(settings);
  const limits = { requestsPerMinute: 2, tokensPerMinute: null, concurrentRequests: null };
  const { accountId } = world.customer(plenty);
  const apiKey = world.keys.issue(accountId, undefined, { limits });
  await eventually(
    async () => {
      const other = world.customer(plenty);
      await chat(gateway, other.apiKey);
      return (await stored()).includes(`gw:lim:{${other.accountId}}`);
    },
    { what: "the gateway to count in this Redis" },
  );
  // Of a cluster that is taken for one server only the accounts of one node would be there.
  const others = Array.from({ length: 8 }, () => world.customer(plenty));
  for (const other of others) await chat(gateway, other.apiKey);
  expect(await stored()).toEqual(expect.arrayContaining(others.map((other) => `gw:lim:{${other.accountId}}`)));
  const statuses: number[] = [];
  for (let index = 0; index < 3; index += 1) statuses.push((await chat(gateway, apiKey)).status);
  expect(await stored()).toContain(`gw:lim:{${accountId}}`);
  return statuses;
}

const inCluster = async (): Promise<readonly string[]> =>
  (await Promise.all(cluster.ports.map((port) => keysIn(port, cluster.password)))).flat();

describe("a gateway", () => {
  test("given a cluster of three, then it counts there", async () => {
    const settings = { REDIS_MODE: "cluster", REDIS_URL: nodeUrls().join(",") };
    expect(await countedBy(settings, inCluster)).toEqual([200, 200, 429]);
  }, 60_000);

  test("given one node of the cluster, then it finds the others by it", async () => {
    const settings = { REDIS_MODE: "cluster", REDIS_URL: nodeUrls()[0] ?? "" };
    expect(await countedBy(settings, inCluster)).toEqual([200, 200, 429]);
  }, 60_000);

  test("given a sentinel, then it counts at the master that the sentinel names", async () => {
    const settings = {
      REDIS_MODE: "sentinel",
      REDIS_URL: urlOf(sentinel.port, sentinel.password),
      REDIS_SENTINEL_MASTER: sentinel.master,
      REDIS_SENTINEL_PASSWORD: sentinel.sentinelPassword,
    };
    const atMaster = () => keysIn(sentinel.masterPort, sentinel.password);
    expect(await countedBy(settings, atMaster)).toEqual([200, 200, 429]);
  }, 60_000);
});

describe("a Redis of another kind than the settings say", () => {
  /** What the operator is told, of the first error that says it. */
  async function toldOf(settings: RedisSettings): Promise<string> {
    const redis = connectRedis(settings);
    const told: string[] = [];
    const hear = (error: unknown): void => void told.push(redisMisfit(settings.mode, error) ?? "");
    redis.on("error", hear);
    const limits = redisLimits(new RedisTurns(redis, 10_000), { workerId: "w1", leaseMs: 1_000 });
    const wide = { requestsPerMinute: 9, tokensPerMinute: 9, concurrentRequests: 9 };
    try {
      return await eventually(
        async () => {
          const of: Limited = { accountId: newId("acc"), keyId: newId("key"), limits: { key: wide, account: wide } };
          await limits.take(of, { requestId: newId("req"), tokens: 1, slot: false }).catch(hear);
          return told.find((text) => text !== "");
        },
        { what: "the misfit to be told", everyMs: 50 },
      );
    } finally {
      redis.disconnect();
    }
  }

  test("given a cluster's node as one server, then MOVED is said in words", async () => {
    const told = await toldOf({ mode: "single", urls: nodeUrls().slice(0, 1), ...none });
    expect(told).toContain("set REDIS_MODE=cluster");
  });

  test("given one server as a cluster, then it is said that it is none", async () => {
    expect(await toldOf({ mode: "cluster", urls: [world.redisUrl], ...none })).toContain("set REDIS_MODE=single");
  });

  test("given a sentinel that does not know the name, then it is said", async () => {
    const { port, password, sentinelPassword } = sentinel;
    const told = await toldOf({
      mode: "sentinel",
      urls: [urlOf(port, password)],
      master: "other",
      sentinelPassword: new Secret(sentinelPassword),
    });
    expect(told).toContain("REDIS_SENTINEL_MASTER");
  });

  test.each(["connect ECONNREFUSED", "Command timed out", "WRONGPASS invalid username-password pair"])(
    "given %s, then it is an outage and not a misfit",
    (message) => {
      for (const mode of ["single", "sentinel", "cluster"] as const) {
        expect(redisMisfit(mode, new Error(message))).toBeUndefined();
      }
    },
  );
});

describe("settings that contradict themselves", () => {
  const one = "redis://:p@a:1";

  test.each<readonly [string, Readonly<Record<string, string>>, string]>([
    ["two addresses of one server", { REDIS_URL: `${one},redis://:p@b:2` }, "REDIS_MODE=single has one"],
    ["two passwords", { REDIS_MODE: "cluster", REDIS_URL: `${one},redis://:q@b:2` }, "same scheme, user and password"],
    ["two schemes", { REDIS_MODE: "cluster", REDIS_URL: `${one},rediss://:p@b:2` }, "same scheme, user and password"],
    ["a database in a cluster", { REDIS_MODE: "cluster", REDIS_URL: `${one}/2` }, "database 0 alone"],
    ["a path that is no database", { REDIS_URL: `${one}/limits` }, "the number of a database alone"],
    ["sentinels without a master", { REDIS_MODE: "sentinel", REDIS_URL: one }, "needs REDIS_SENTINEL_MASTER"],
    ["a master without sentinels", { REDIS_URL: one, REDIS_SENTINEL_MASTER: "m" }, "belong to REDIS_MODE=sentinel"],
    ["a mode that is none", { REDIS_URL: one, REDIS_MODE: "ring" }, "must be one of: single, sentinel, cluster"],
  ])("given %s, then the gateway does not start, and says why", (_what, settings, why) => {
    const rest = {
      NODE_ENV: "test",
      HTTP_PORT: "0",
      ADMIN_PORT: "0",
      DATABASE_URL: "postgres://x/y",
      NATS_URL: "nats://x",
      PUBLIC_ORIGIN: "https://x.example",
      GATEWAY_CHANNEL_KEY: newId("evt") + newId("evt"),
      GATEWAY_SPOOL_DIR: "spool",
    };
    expect(() => loadConfig(gatewayConfig, { ...rest, REDIS_URL: one, ...settings })).toThrow(why);
    expect(() => loadConfig(gatewayConfig, { ...rest, REDIS_URL: one })).not.toThrow();
  });
});
