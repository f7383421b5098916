import { newId, type AccountId, type KeyId } from "@codex/kernel";
import { eventually, leakCheck, startInfra, testInfra, type Infra } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { Redis } from "ioredis";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import {
  judge,
  type Levels,
  type LimitAnswer,
  type Limited,
  type Limits,
  type LimitScope,
} from "../src/domain/limits.ts";
import { redisLimits } from "../src/store/redis-limits.ts";
import { RedisTurns } from "../src/store/redis-turns.ts";

// The scripts, in a real Redis. Time is moved by moving what is stored, since Redis's own clock decides.

const leaks = leakCheck();
const leaseMs = 1_000;
let folder: string;
let infra: Infra;
let redis: Redis;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "codex-limits-"));
  const { postgresUrl, natsUrl } = testInfra();
  const given = { postgresUrl, natsUrl };
  infra = await startInfra({ dataDir: folder, persistent: false, given, log: () => undefined });
  redis = new Redis(infra.redisUrl);
}, 30_000);

afterAll(async () => {
  redis.disconnect();
  await infra.stop();
  rmSync(folder, { recursive: true, force: true });
  await leaks.assertClean();
}, 30_000);

const patientMs = 10_000;
const store = (workerId = "w1", answerMsMax = patientMs) =>
  redisLimits(new RedisTurns(redis, answerMsMax), { workerId, leaseMs });
const wide: Limits = { requestsPerMinute: 1_000_000, tokensPerMinute: 1_000_000_000, concurrentRequests: 1_000_000 };

function limitedTo(key: Partial<Limits>, account: Partial<Limits> = {}, accountId: AccountId = newId("acc")): Limited {
  return { accountId, keyId: newId("key"), limits: { key: { ...wide, ...key }, account: { ...wide, ...account } } };
}

const demand = (tokens = 0, slot = false) => ({ requestId: newId("req"), tokens, slot });
const bucketsOf = ({ accountId }: Limited): string => `gw:lim:{${accountId}}`;
const slotsOf = ({ accountId, keyId }: Limited): string => `gw:lim:{${accountId}}:run:${keyId}`;

/** As if so much time had passed since everything that was taken. */
async function timePasses(of: Limited, ms: number): Promise<void> {
  const stored = await redis.hgetall(bucketsOf(of));
  for (const [field, moment] of Object.entries(stored))
    await redis.hset(bucketsOf(of), field, String(Number(moment) - ms * 1_000));
}

async function takeMany(of: Limited, count: number) {
  return Promise.all(Array.from({ length: count }, () => store().take(of, demand())));
}

describe("requests", () => {
  test("given sixty a minute, when seventy come at once, then sixty pass and one more a second", async () => {
    const of = limitedTo({ requestsPerMinute: 60 });
    const answers = await takeMany(of, 70);
    expect(answers.filter(({ refusal }) => !refusal)).toHaveLength(60);
    const refusal = answers.at(-1)?.refusal;
    expect(refusal).toMatchObject({ scope: "key", limit: "requests" });
    expect(refusal?.waitMs).toBeGreaterThan(500);
    expect(refusal?.waitMs).toBeLessThanOrEqual(1_000);
    await timePasses(of, 10_000);
    expect((await takeMany(of, 15)).filter(({ refusal }) => !refusal)).toHaveLength(10);
    await timePasses(of, 600_000);
    expect((await takeMany(of, 70)).filter(({ refusal }) => !refusal)).toHaveLength(60);
  });

  test("given the account refuses, then nothing is taken from the key; two workers count together", async () => {
    const accountId = newId("acc");
    const one = limitedTo({ requestsPerMinute: 10 }, { requestsPerMinute: 3 }, accountId);
    const other = limitedTo({ requestsPerMinute: 10 }, { requestsPerMinute: 3 }, accountId);
    await store("w1").take(one, demand());
    await store("w2").take(other, demand());
    await store("w1").take(other, demand());
    const refused = await store("w2").take(one, demand());
    expect(refused.refusal).toMatchObject({ scope: "account", limit: "requests" });
    expect(refused.levels.key.requestsMs).toBeLessThanOrEqual(6_000);
  });
});

describe("tokens", () => {
  test("given an estimate, when less was used, then the rest is there again at once; when more, it is gone", async () => {
    const of = limitedTo({ tokensPerMinute: 6_000 });
    const first = demand(6_000);
    await store().take(of, first);
    expect((await store().take(of, demand(1_000))).refusal).toMatchObject({ limit: "tokens" });
    store().end(of, first.requestId, { key: -50_000, account: 0 });
    // Nobody waits for an end, and a server that has just started asks for the script first.
    await eventually(async () => !(await store().take(of, demand(4_900))).refusal, { what: "the rest to be back" });
    // What one worker says comes in its order.
    const worker = store();
    worker.end(of, newId("req"), { key: 30_000, account: 0 });
    const refused = await worker.take(of, demand(100));
    expect(refused.refusal?.waitMs).toBeGreaterThan(20_000);
    expect(refused.refusal?.waitMs).toBeLessThanOrEqual(30_000);
    expect((await store().take(of, demand(0))).refusal).toBeUndefined();
  });

  test("given a request that used a thousand times the limit, then the key waits ten minutes and no longer", async () => {
    const of = limitedTo({ tokensPerMinute: 10 });
    store().end(of, newId("req"), { key: 60_000_000, account: 60_000_000 });
    const { refusal } = await eventually(
      async () => {
        const answer = await store().take(of, demand(10));
        return answer.refusal && answer;
      },
      { what: "the end to have arrived" },
    );
    expect(refusal?.waitMs).toBeGreaterThan(590_000);
    expect(refusal?.waitMs).toBeLessThanOrEqual(600_000);
    expect(await redis.pttl(bucketsOf(of))).toBeGreaterThan(600_000);
  });

  test("given more is asked for than the limit, then it passes when nothing was taken lately", async () => {
    const of = limitedTo({ tokensPerMinute: 100 });
    expect((await store().take(of, demand(5_000))).refusal).toBeUndefined();
    expect((await store().take(of, demand(5_000))).refusal).toBeDefined();
    await timePasses(of, 60_000);
    expect((await store().take(of, demand(5_000))).refusal).toBeUndefined();
  });
});

describe("slots", () => {
  test("given two slots, then the third request waits until one has ended", async () => {
    const of = limitedTo({ concurrentRequests: 2 });
    const running = [demand(0, true), demand(0, true)];
    for (const one of running) await store().take(of, one);
    expect((await store().take(of, demand(0, true))).refusal).toEqual({
      scope: "key",
      limit: "concurrency",
      waitMs: 0,
    });
    expect((await store().take(of, demand(0, false))).refusal).toBeUndefined();
    store().end(of, running[0]!.requestId, { key: 0, account: 0 });
    await eventually(async () => !(await store().take(of, demand(0, true))).refusal, { what: "the slot to be free" });
  });

  test("given the account's slots are used up by another key, then it is the account that refuses", async () => {
    const accountId = newId("acc");
    const one = limitedTo({}, { concurrentRequests: 1 }, accountId);
    await store().take(one, demand(0, true));
    const { refusal } = await store().take(limitedTo({}, { concurrentRequests: 1 }, accountId), demand(0, true));
    expect(refusal).toEqual({ scope: "account", limit: "concurrency", waitMs: 0 });
  });

  test("given a worker that renews, then its slot stays; given it says nothing more, then the slot lapses", async () => {
    const of = limitedTo({ concurrentRequests: 1 });
    const running = demand(0, true);
    const startedMs = performance.now();
    await store().take(of, running);
    await eventually(
      async () => {
        await store().renew([{ of, requestIds: [running.requestId] }]);
        expect((await store().take(of, demand(0, true))).refusal).toBeDefined();
        return performance.now() - startedMs > 2 * leaseMs;
      },
      { what: "twice the lease to pass while it is renewed" },
    );
    await eventually(async () => !(await store().take(of, demand(0, true))).refusal, { what: "the slot to lapse" });
  });

  test("given two workers of which one dies, then its slot lapses beside the one that is renewed", async () => {
    const of = limitedTo({ concurrentRequests: 2 });
    const [alive, dead] = [demand(0, true), demand(0, true)];
    for (const one of [alive, dead]) await store().take(of, one);
    expect((await store().take(of, demand(0, true))).refusal).toBeDefined();
    await eventually(
      async () => {
        await store().renew([{ of, requestIds: [alive.requestId] }]);
        return !(await store().take(of, demand(0, true))).refusal;
      },
      { what: "the slot of the dead one to lapse" },
    );
    expect((await store().take(of, demand(0, true))).refusal).toBeDefined();
  });

  test("given Redis has lost everything, when slots are renewed, then they are there again, 1,200 too", async () => {
    const of = limitedTo({});
    const requestIds = Array.from({ length: 1_200 }, () => newId("req"));
    await redis.flushall();
    await redis.script("FLUSH");
    await store().renew([{ of, requestIds }]);
    expect(await redis.zcard(slotsOf(of))).toBe(1_200);
    expect((await store().take(limitedTo({}), demand())).refusal).toBeUndefined();
  });

  test("given an answer that comes too late, then the slot it took does not wait for its lease", async () => {
    const of = limitedTo({ concurrentRequests: 1 });
    await redis.ping();
    // Holds the server for longer than the deadline, as a slow disk or a large command of somebody else does.
    const slow = redis.eval(
      "local t = redis.call('TIME') local e = t[1] * 1000000 + t[2] + 150000 repeat t = redis.call('TIME') until t[1] * 1000000 + t[2] > e return 0",
      0,
    );
    await expect(store("w1", 50).take(of, demand(0, true))).rejects.toThrow("did not answer in time");
    await slow;
    await eventually(async () => (await redis.zcard(slotsOf(of))) === 0, { what: "the slot to be given back" });
  });
});

test("given workers that beat, then they are counted, and one that stopped is not", async () => {
  await redis.del("gw:lim:workers");
  await store("w1").beat();
  expect(await store("w2").beat()).toBe(2);
  expect(await store("w2").beat()).toBe(2);
  await eventually(async () => (await store("w1").beat()) === 1, { what: "the other one to be forgotten" });
});

/** The levels of a key and its account, of what was stored, at a moment of Redis's clock. */
function levelsAt(
  { keyId }: Limited,
  stored: Readonly<Record<string, string>>,
  micros: number,
): Readonly<Record<LimitScope, Levels>> {
  const level = (field: string): number => Math.max(0, (Number(stored[field] ?? 0) - micros) / 1_000);
  return {
    key: { requestsMs: level(`r:${keyId}`), tokensMs: level(`t:${keyId}`) },
    account: { requestsMs: level("r"), tokensMs: level("t") },
  };
}

async function redisMicros(): Promise<number> {
  const [seconds = 0, micros = 0] = (await redis.time()).map(Number);
  return seconds * 1_000_000 + micros;
}

/** Every number of an answer, so that two can be compared. */
const numbersOf = ({ refusal, levels }: LimitAnswer): readonly number[] => [
  refusal?.waitMs ?? 0,
  ...[levels.key, levels.account].flatMap(({ requestsMs, tokensMs }) => [requestsMs, tokensMs]),
];

test("given any demands, then the script judges as the worker alone would, at a moment between its call and its answer", async () => {
  const limits = fc.record({
    requestsPerMinute: fc.integer({ min: 1, max: 8 }),
    tokensPerMinute: fc.integer({ min: 1, max: 1_000 }),
    concurrentRequests: fc.integer({ min: 1, max: 4 }),
  });
  const step = fc.record({ tokens: fc.integer({ min: 0, max: 400 }), slot: fc.boolean(), passMs: fc.nat(40_000) });
  const rounding = 0.01;
  let refusals = 0;
  await fc.assert(
    fc.asyncProperty(limits, limits, fc.array(step, { maxLength: 12 }), async (key, account, steps) => {
      const of: Limited = { accountId: newId("acc"), keyId: newId("key"), limits: { key, account } };
      let running = 0;
      for (const { tokens, slot, passMs } of steps) {
        const asked = demand(tokens, slot);
        const slots = { key: running, account: running };
        const stored = await redis.hgetall(bucketsOf(of));
        const calledAt = await redisMicros();
        const answer = await store().take(of, asked);
        const answeredAt = await redisMicros();
        const early = judge(of, asked, levelsAt(of, stored, calledAt), slots);
        const late = judge(of, asked, levelsAt(of, stored, answeredAt), slots);
        const who = ({ refusal }: LimitAnswer): string => `${refusal?.scope ?? ""} ${refusal?.limit ?? ""}`;
        expect([who(early), who(late)]).toContain(who(answer));
        if (who(early) === who(late)) {
          const [most, least, got] = [numbersOf(early), numbersOf(late), numbersOf(answer)];
          got.forEach((value, index) => {
            expect(value).toBeLessThanOrEqual((most[index] ?? 0) + rounding);
            expect(value).toBeGreaterThanOrEqual((least[index] ?? 0) - rounding);
          });
        }
        if (answer.refusal) refusals += 1;
        else if (slot) running += 1;
        await timePasses(of, passMs);
      }
    }),
    { numRuns: 60 },
  );
  expect(refusals).toBeGreaterThan(10);
}, 60_000);

test("given a key's and its account's counters, then all keys of a script have one hash tag, as Redis Cluster needs", async () => {
  const of = limitedTo({});
  const keyId: KeyId = of.keyId;
  await redis.flushall();
  await store().take(of, demand(1, true));
  const keys = await redis.keys("gw:lim:*");
  expect(keys.toSorted()).toEqual([bucketsOf(of), `${bucketsOf(of)}:run`, `${bucketsOf(of)}:run:${keyId}`].toSorted());
  expect(new Set(keys.map((key) => /\{(.+?)\}/.exec(key)?.[1]))).toEqual(new Set([of.accountId]));
});

describe("what is said in one turn", () => {
  const bytesWritten = (): number => (redis.stream as unknown as { bytesWritten: number }).bytesWritten;

  test("given what nobody waits for, when a question follows, then both go in one write, in their order", async () => {
    const turns = new RedisTurns(redis, 10_000);
    const before = bytesWritten();
    const soon = turns.sendSoon("incr", ["together"]);
    await turn();
    expect(bytesWritten()).toBe(before);
    await expect(turns.send("get", ["together"])).resolves.toBe("1");
    await expect(soon).resolves.toBe(1);
  });

  test("given a question that is due, then what nobody waits for goes with it, and the next question is another turn", async () => {
    const turns = new RedisTurns(redis, 10_000);
    const [asked, told] = [turns.send("incr", ["due"]), turns.sendSoon("incr", ["due"])];
    await expect(Promise.all([asked, told])).resolves.toEqual([1, 2]);
    await expect(turns.send("get", ["due"])).resolves.toBe("2");
  });

  test("given nothing follows, then what nobody waits for goes alone", async () => {
    await expect(new RedisTurns(redis, 10_000).sendSoon("incr", ["alone"])).resolves.toBe(1);
  });
});
