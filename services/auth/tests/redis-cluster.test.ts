import { ManualClock, newId } from "@codex/kernel";
import { connectRedis, type Cluster, type Redis } from "@codex/redis";
import { silentLogger } from "@codex/runtime";
import { eventually, leakCheck, startRedisCluster, type RedisCluster } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { randomBytes } from "node:crypto";
import { redisDeviceNames } from "../src/store/device-names.ts";
import { redisCounters } from "../src/store/failure-counters.ts";
import { signInThrottle } from "../src/store/sign-in-throttle.ts";
import { redisWaveCounter } from "../src/store/wave-counter.ts";

// What auth keeps in Redis, where it is a cluster of three: keys lie on nodes by their names.

const leaks = leakCheck();
let cluster: RedisCluster;
let redis: Redis | Cluster;

beforeAll(async () => {
  cluster = await startRedisCluster();
  const urls = cluster.ports.map((port) => `redis://:${cluster.password}@127.0.0.1:${String(port)}`);
  redis = connectRedis(
    { mode: "cluster", urls, master: undefined, sentinelPassword: undefined },
    { commandTimeout: 5_000 },
  );
  redis.on("error", (error: unknown) => silentLogger.debug("redis", { error }));
  const answers = async (): Promise<boolean> => (await redis.set("ready", "1").catch(() => "")) === "OK";
  await eventually(answers, { what: "the cluster to answer" });
}, 60_000);

afterAll(async () => {
  redis.disconnect();
  await cluster.stop();
  await leaks.assertClean();
}, 60_000);

test("given names of ten browsers, then they are all there, whatever node has them", async () => {
  const names = redisDeviceNames(redis, randomBytes(32).toString("hex"));
  const sessions = Array.from({ length: 10 }, () => newId("ses"));
  for (const session of sessions) await names.put(session, "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0");
  expect(await names.get([...sessions, newId("ses")])).toEqual([...sessions.map(() => "Firefox, Linux"), null]);
});

describe("sign-ins", () => {
  const clock = new ManualClock(new Date());
  const keySecret = randomBytes(32).toString("hex");
  const throttle = () => signInThrottle(redis, redisCounters(redis, clock), { keySecret, mailsPerNetworkPerHour: 3 });
  const attempt = (email: string) => ({ email, clientIp: "192.0.2.7", device: undefined });

  test("given five failures at two replicas, then the sixth waits, and another account does not", async () => {
    const [one, other] = [throttle(), throttle()];
    for (let index = 0; index < 5; index += 1) await (index % 2 === 0 ? one : other).admit(attempt("a@x.example"));
    await expect(other.admit(attempt("a@x.example"))).rejects.toMatchObject({ code: "too_many_attempts" });
    await one.admit(attempt("b@x.example"));
  });

  test("given a success, then the account's failures are forgotten", async () => {
    const one = throttle();
    for (let round = 0; round < 3; round += 1) {
      for (let index = 0; index < 4; index += 1) await one.admit(attempt("c@x.example"));
      await one.succeeded(attempt("c@x.example"));
    }
  });

  test("given three mails of a network in an hour, then the fourth is refused", async () => {
    const clientIp = "198.51.100.9";
    for (let index = 0; index < 3; index += 1) {
      expect(await throttle().admitMail(`m${String(index)}@x.example`, clientIp)).toBe(true);
    }
    await expect(throttle().admitMail("m3@x.example", clientIp)).rejects.toMatchObject({ code: "too_many_attempts" });
  });
});

test("given failures of everybody, then replicas count them together", async () => {
  const clock = new ManualClock(new Date());
  const counters = [redisWaveCounter(redis, clock), redisWaveCounter(redis, clock)];
  expect(await counters[0]?.failed()).toBe(1);
  clock.advance(60_000);
  expect(await counters[1]?.failed()).toBe(2);
});
