import { ManualClock, newId, type RequestId } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import type { LimitAnswer, LimitScope, Limits } from "../domain/limits.ts";
import { RequestLimiter, type LimitStore } from "./request-limiter.ts";

const ceilings: Readonly<Record<LimitScope, Limits>> = {
  key: { requestsPerMinute: 6, tokensPerMinute: 600, concurrentRequests: 2 },
  account: { requestsPerMinute: 60, tokensPerMinute: 6_000, concurrentRequests: 20 },
};
const away = (): Promise<never> => Promise.reject(new Error("Command timed out"));
const nothing = { requestsMs: 0, tokensMs: 0 };
const free: LimitAnswer = { refusal: undefined, levels: { key: nothing, account: nothing } };

/** A store that answers as it is told; what it was told stays. */
function setUp(given: Partial<LimitStore> = {}) {
  const clock = new ManualClock();
  const said: string[] = [];
  const ends: { requestId: RequestId; change: Readonly<Record<LimitScope, number>> }[] = [];
  const port = {
    take: away as LimitStore["take"],
    end: (_of: unknown, requestId: RequestId, change: Readonly<Record<LimitScope, number>>) => {
      ends.push({ requestId, change });
    },
    renew: () => Promise.resolve(),
    beat: () => Promise.resolve(1),
    ...given,
  } satisfies LimitStore;
  const limiter = new RequestLimiter(
    {
      store: port,
      clock,
      onInsurance: () => said.push("alone"),
      onAway: () => said.push("away"),
      onBack: () => said.push("back"),
    },
    ceilings,
  );
  const of = limiter.limitedOf({ keyId: newId("key"), accountId: newId("acc"), limits: null });
  const take = (tokens = 0, slot = false, who = of) => limiter.take(who, { requestId: newId("req"), tokens, slot });
  return { clock, limiter, port, of, take, said, ends };
}

test("given an owner's limits, then each counts within the operator's ceiling, and by itself", () => {
  const { limiter } = setUp();
  const ids = { keyId: newId("key"), accountId: newId("acc") };
  const own = { requestsPerMinute: 3, tokensPerMinute: 9_999, concurrentRequests: null };
  expect(limiter.limitedOf({ ...ids, limits: own }).limits.key).toEqual({
    requestsPerMinute: 3,
    tokensPerMinute: 600,
    concurrentRequests: 2,
  });
});

describe("without Redis", () => {
  test("given six a minute, then six pass, the seventh waits ten seconds, and at that edge one more passes", async () => {
    const { clock, take } = setUp();
    for (let index = 0; index < 6; index += 1) expect((await take()).answer.refusal).toBeUndefined();
    expect((await take()).answer.refusal).toEqual({ scope: "key", limit: "requests", waitMs: 10_000 });
    clock.advance(9_999);
    expect((await take()).answer.refusal).toMatchObject({ waitMs: 1 });
    clock.advance(1);
    expect((await take()).answer.refusal).toBeUndefined();
    expect((await take()).answer.refusal).toBeDefined();
  });

  test("given tokens that were estimated, when the end says less or more, then the next one has room, or waits longer", async () => {
    const { clock, take } = setUp();
    const first = await take(600);
    expect((await take(100)).answer.refusal).toEqual({ scope: "key", limit: "tokens", waitMs: 10_000 });
    first.end(200);
    first.end(0);
    expect((await take(400)).answer.refusal).toBeUndefined();
    expect((await take(1)).answer.refusal).toMatchObject({ limit: "tokens" });
    clock.advance(60_000);
    (await take(300)).end(1_200);
    expect((await take(1)).answer.refusal?.waitMs).toBeCloseTo(60_100, 3);
  });

  test("given two slots, then the third waits for an end; what takes none is not refused", async () => {
    const { take } = setUp();
    const first = await take(0, true);
    await take(0, true);
    expect((await take(0, true)).answer.refusal).toEqual({ scope: "key", limit: "concurrency", waitMs: 0 });
    expect((await take(0, false)).answer.refusal).toBeUndefined();
    first.end(0);
    expect((await take(0, true)).answer.refusal).toBeUndefined();
  });

  test("given three workers were alive, then this one counts a third of each limit, at least one, and says so", async () => {
    const { limiter, take } = setUp({ beat: () => Promise.resolve(3) });
    await limiter.tick();
    const first = await take();
    expect(first.of.limits.key).toEqual({ requestsPerMinute: 2, tokensPerMinute: 200, concurrentRequests: 1 });
    await take();
    expect((await take()).answer.refusal).toMatchObject({ limit: "requests", waitMs: 30_000 });
  });

  test("given keys of one account, then the account's limit holds for all of them together", async () => {
    const { limiter, take } = setUp();
    const accountId = newId("acc");
    const keys = Array.from({ length: 11 }, () => limiter.limitedOf({ keyId: newId("key"), accountId, limits: null }));
    for (const key of keys.slice(0, 10)) for (let index = 0; index < 6; index += 1) await take(0, false, key);
    expect((await take(0, false, keys[10])).answer.refusal).toMatchObject({ scope: "account", limit: "requests" });
  });
});

test("given Redis goes and comes, then it is said once each, and only one request a second waits for it meanwhile", async () => {
  const { clock, port, take, said } = setUp();
  let asked = 0;
  port.take = () => {
    asked += 1;
    return away();
  };
  for (let index = 0; index < 4; index += 1) await take();
  expect({ asked, said }).toEqual({ asked: 1, said: ["away", "alone", "alone", "alone", "alone"] });
  clock.advance(1_000);
  await Promise.all([take(), take()]);
  expect(asked).toBe(2);
  port.take = () => Promise.resolve(free);
  clock.advance(1_000);
  expect((await take()).answer).toBe(free);
  await take();
  expect(said.filter((word) => word !== "alone")).toEqual(["away", "back"]);
});

test("given a refusal of requests, then it is known until its moment, older by the time that passed; others are not kept", async () => {
  const { clock, limiter, port, of, take } = setUp();
  const levels = { key: { requestsMs: 60_000, tokensMs: 0 }, account: nothing };
  port.take = () => Promise.resolve({ refusal: { scope: "key", limit: "tokens", waitMs: 500 }, levels });
  await take();
  expect(limiter.known(of)).toBeUndefined();
  port.take = () => Promise.resolve({ refusal: { scope: "key", limit: "requests", waitMs: 500 }, levels });
  await take();
  clock.advance(499);
  expect(limiter.known(of)).toEqual({
    refusal: { scope: "key", limit: "requests", waitMs: 1 },
    levels: { key: { requestsMs: 59_501, tokensMs: 0 }, account: nothing },
  });
  clock.advance(1);
  expect(limiter.known(of)).toBeUndefined();
});

test("given Redis counted, then the end is told to it once, with what has to change; nothing is told when nothing has to", async () => {
  const { port, take, ends, clock } = setUp();
  const taken = {
    refusal: undefined,
    levels: { key: { requestsMs: 0, tokensMs: 10_000 }, account: { requestsMs: 0, tokensMs: 1_000 } },
  };
  port.take = () => Promise.resolve(taken);
  const running = await take(100, true);
  clock.advance(400);
  running.end(25);
  running.end(25);
  expect(ends.map(({ change }) => change)).toEqual([{ key: -7_500, account: -600 }]);
  (await take(0, false)).end(0);
  expect(ends).toHaveLength(1);
});

test("given running requests, then a tick renews their slots, and those that ended are not among them", async () => {
  const renewed: (readonly RequestId[])[] = [];
  const { limiter, port, take } = setUp({
    renew: (running) => {
      renewed.push(running.flatMap(({ requestIds }) => requestIds));
      return Promise.resolve();
    },
  });
  port.take = () => Promise.resolve(free);
  const first = await take(0, true);
  await take(0, true);
  await take(0, false);
  await limiter.tick();
  first.end(0);
  await limiter.tick();
  expect(renewed.map((ids) => ids.length)).toEqual([2, 1]);
});
