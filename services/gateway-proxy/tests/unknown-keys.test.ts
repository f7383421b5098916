import { keyResolve, keyResolveV1 } from "@codex/contracts";
import { generateApiKey } from "@codex/kernel";
import { leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { chat, send, startWorld, type Answer, type World } from "./_world.ts";

// SEC-32: what the stores hear of keys that are none. Every question to the registry is a message that is counted here, and every
// call to Redis runs one of the scripts that read its clock.

const leaks = leakCheck();
let world: World;
let redis: Redis;
let asked = 0;

beforeAll(async () => {
  world = await startWorld({ GATEWAY_UNKNOWN_KEYS_PER_MINUTE: "20", TRUSTED_PROXY_COUNT: "1" });
  redis = new Redis(world.redisUrl);
  for (const { subject } of [keyResolve, keyResolveV1])
    world.bus.connection.subscribe(subject, { callback: () => void (asked += 1) });
  await world.bus.connection.flush();
}, 60_000);

afterAll(async () => {
  redis.disconnect();
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const scripts = async (): Promise<number> =>
  Number(/cmdstat_time:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1] ?? 0);

const withKey = (apiKey: string, address = "192.0.2.1"): Promise<Answer> =>
  send(world.gateway, "GET", "/v1/key", {
    headers: { authorization: `Bearer ${apiKey}`, "x-forwarded-for": address },
  });

/** At the same time, but no more than a client has connections. */
async function many(count: number, one: () => Promise<Answer>): Promise<Readonly<Record<string, number>>> {
  const seen: Record<string, number> = {};
  const worker = async (): Promise<void> => {
    for (let left = count / 20; left > 0; left -= 1) {
      const { status } = await one();
      seen[status] = (seen[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: 20 }, worker));
  return seen;
}

test("given a thousand malformed keys, then each is refused, and no store is asked anything", async () => {
  const good = generateApiKey("cx", "live");
  const malformed = [
    "sk-proj-abc",
    good.slice(0, -1),
    `${good}0`,
    `${good.slice(0, -1)}!`,
    "' or 1=1 --",
    "x".repeat(500),
  ];
  const [askedBefore, scriptsBefore] = [asked, await scripts()];
  let turn = 0;
  const answers = await many(1_000, () => withKey(malformed[(turn += 1) % malformed.length] ?? ""));
  expect(answers).toEqual({ 401: 1_000 });
  // Whatever was sent before this has been counted by now.
  await world.bus.connection.flush();
  expect(asked - askedBefore).toBe(0);
  // The worker's own beat and its talk about channels may fall into this, each once a second.
  expect((await scripts()) - scriptsBefore).toBeLessThan(200);
});

test("given a thousand well-formed unknown keys of one address, then the registry is asked a bounded number of times, and a good key from there works all the while", async () => {
  const { apiKey } = world.customer(100_000_000_000n);
  expect((await chat(world.gateway, apiKey)).status).toBe(200);
  const [askedBefore, scriptsBefore] = [asked, await scripts()];
  const answers = await many(1_000, () => withKey(generateApiKey("cx", "live")));
  await world.bus.connection.flush();
  // What came at once with the first one, before its answer; then 20 a minute.
  expect(asked - askedBefore).toBeLessThanOrEqual(20 + 20 + 20);
  expect(asked - askedBefore).toBeGreaterThanOrEqual(20);
  expect(answers[429]).toBe(1_000 - (answers[401] ?? 0));
  expect(answers[401]).toBe(asked - askedBefore);
  expect((await scripts()) - scriptsBefore).toBeLessThan(200);
  const refused = await withKey(generateApiKey("cx", "live"));
  expect(refused.body["error"]).toMatchObject({ code: "too_many_unknown_keys" });
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  expect((await withKey(apiKey)).status).toBe(200);
  expect((await withKey(generateApiKey("cx", "live"), "192.0.2.2")).status).toBe(401);
});

test("given the same unknown key again and again, then it is asked for once", async () => {
  const unknown = generateApiKey("cx", "live");
  await withKey(unknown, "192.0.2.3");
  const before = asked;
  expect(await many(200, () => withKey(unknown, "192.0.2.3"))).toEqual({ 401: 200 });
  await world.bus.connection.flush();
  expect(asked).toBe(before);
});
