import { ManualClock } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import type { ChannelState } from "../src/app/channel-state.ts";
import type { Route } from "../src/app/catalogue.ts";
import { attemptsMax, noRoute, RouteChoice, type Attempt } from "../src/app/choose-route.ts";
import { breakerRule } from "../src/domain/breaker.ts";
import { hash32 } from "../src/domain/rendezvous.ts";
import { keysOf, routeOf, stateOf } from "./_channel.ts";

const clock = new ManualClock();
const sessions = Array.from({ length: 300 }, (_, index) => hash32(`s${String(index)}`));

function choose(channels: readonly ChannelState[], session?: number, random?: () => number): Attempt | undefined {
  const routes = channels
    .map((channel) => routeOf(channel))
    .sort((a, b) => b.channel.snapshot.priority - a.channel.snapshot.priority);
  return new RouteChoice(routes, session, clock, undefined, random).next();
}

function nameOf(channels: readonly ChannelState[], session?: number, random?: () => number): string | undefined {
  const attempt = choose(channels, session, random);
  attempt?.end("neutral");
  return attempt?.route.channelName;
}

function fail(channel: ChannelState): void {
  const breaker = channel.breaker("m");
  for (let time = 0; time < breakerRule.failuresInRow; time += 1) {
    breaker.record(breaker.begin(clock.monotonicMs()), "failure", clock.monotonicMs());
  }
}

describe("among channels", () => {
  test("given priorities, then the highest that can serve is chosen, and when it cannot, the next", () => {
    const high = stateOf({ name: "high", priority: 9 }, clock);
    const low = stateOf({ name: "low", priority: 1, weight: 1_000 }, clock);
    for (const session of [undefined, 1, 2, 3]) expect(nameOf([high, low], session)).toBe("high");
    fail(high);
    for (const session of [undefined, 1, 2, 3]) expect(nameOf([high, low], session)).toBe("low");
  });

  test("given some take the request as it is, then only they are chosen at their priority, in any order, until none of them can", () => {
    const a = stateOf({ name: "a", priority: 5, weight: 1_000 }, clock);
    const b = stateOf({ name: "b", priority: 5, weight: 1 }, clock);
    const c = stateOf({ name: "c", priority: 5, weight: 1_000 }, clock);
    const low = stateOf({ name: "low", priority: 1 }, clock);
    const isNative = ({ channelName }: Route): boolean => channelName === "b" || channelName === "low";
    const chosen = (session: number | undefined): string | undefined => {
      const routes = [a, b, c, low].map((channel) => routeOf(channel));
      const attempt = new RouteChoice(routes, session, clock, isNative).next();
      attempt?.end("neutral");
      return attempt?.route.channelName;
    };
    for (const session of [undefined, ...sessions]) expect(chosen(session)).toBe("b");
    fail(b);
    for (const session of [undefined, ...sessions]) expect(["a", "c"]).toContain(chosen(session));
  });

  test("given no session, then requests spread by weight", () => {
    const channels = [stateOf({ name: "a", weight: 100 }, clock), stateOf({ name: "b", weight: 300 }, clock)];
    let seed = 7;
    const random = (): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      return seed / 0x7fffffff;
    };
    const picked = Array.from({ length: 4_000 }, () => nameOf(channels, undefined, random));
    const share = picked.filter((name) => name === "b").length / picked.length;
    expect(Math.abs(share - 0.75)).toBeLessThan(0.03);
  });

  test("given sessions, then each keeps its channel; when that goes only its own sessions move, and they come back", () => {
    const channels = ["a", "b", "c"].map((name) => stateOf({ name }, clock));
    const before = sessions.map((session) => nameOf(channels, session));
    expect(new Set(before).size).toBe(3);
    const [a] = channels;
    a?.update({ ...a.snapshot, state: "draining" });
    sessions.forEach((session, index) => {
      const now = nameOf(channels, session);
      expect(now).toBe(before[index] === "a" ? now : before[index]);
      expect(now).not.toBe("a");
    });
    a?.update({ ...a.snapshot, state: "enabled" });
    expect(sessions.map((session) => nameOf(channels, session))).toEqual(before);
  });

  test.each([
    ["draining", { state: "draining" as const }],
    ["disabled", { state: "disabled" as const }],
    ["without a usable key", { keys: keysOf("unreadable"), keyless: false }],
    ["with every key switched off", { keyless: false }],
  ])("given the only channel is %s, then none is chosen", (_name, more) => {
    expect(choose([stateOf(more, clock)])).toBeUndefined();
  });

  test("given a bound of running requests, then it counts those of other workers, and ends of requests make room", () => {
    const channel = stateOf({ concurrencyMax: 3 }, clock);
    channel.runningElsewhere = 1;
    const running = [choose([channel]), choose([channel])];
    expect(choose([channel])).toBeUndefined();
    running[0]?.end("success");
    running[0]?.end("success");
    expect(choose([channel])).toBeDefined();
    expect(choose([channel])).toBeUndefined();
  });

  test("given a day's bounds, then what all workers told and what this one has not told count; the next UTC day begins anew", () => {
    const day = new ManualClock(new Date("2026-11-25T23:59:00.000Z"));
    const channel = stateOf({ dailyBudgetMicroTokens: 100n, dailyRequestsMax: 10 }, day);
    const open = (): boolean => new RouteChoice([routeOf(channel)], undefined, day).next() !== undefined;
    const taken = channel.meter.take();
    channel.meter.told(taken, { spent: 60n, requests: 1 });
    channel.meter.charged(39n);
    expect(open()).toBe(true);
    channel.meter.charged(1n);
    expect(open()).toBe(false);
    day.advance(60_000);
    expect(open()).toBe(true);
    // What was taken yesterday and arrives today changes nothing of today.
    channel.meter.told(taken, { spent: 1_000n, requests: 1_000 });
    expect(channel.meter.total()).toEqual({ spent: 0n, requests: 0 });
    for (let request = 0; request < 10; request += 1) channel.meter.asked();
    expect(open()).toBe(false);
  });
});

describe("among keys", () => {
  test("given no session, then keys take turns; given a session, it keeps its key", () => {
    const channel = stateOf({ keys: keysOf("k1", "k2", "k3") }, clock);
    const turns = Array.from({ length: 6 }, () => choose([channel])?.key.secret);
    expect(new Set(turns.slice(0, 3))).toEqual(new Set(["k1", "k2", "k3"]));
    expect(turns.slice(3)).toEqual(turns.slice(0, 3));
    const keys = sessions.map((session) => choose([channel], session)?.key.secret);
    expect(new Set(keys).size).toBe(3);
    expect(sessions.map((session) => choose([channel], session)?.key.secret)).toEqual(keys);
  });

  test("given a key rests, then others serve, none when all rest, and it serves again when its time is over", () => {
    const channel = stateOf({ keys: keysOf("k1", "k2") }, clock);
    const first = choose([channel], 1);
    first?.rest("rate_limited", 7, false);
    const second = choose([channel], 1);
    expect(second?.key.secret).not.toBe(first?.key.secret);
    second?.rest("rejected", undefined, true);
    expect(choose([channel], 1)).toBeUndefined();
    clock.advance(6_999);
    expect(choose([channel], 1)).toBeUndefined();
    clock.advance(1);
    expect(choose([channel], 1)?.key.secret).toBe(first?.key.secret);
  });

  test("given a wait without end, then it is bounded; given a snapshot with the same key, then the key goes on resting", () => {
    const channel = stateOf({ keys: keysOf("k1") }, clock);
    choose([channel])?.rest("rate_limited", 99_999, false);
    channel.update({ ...channel.snapshot, weight: 7 });
    clock.advance(3_599_999);
    expect(choose([channel])).toBeUndefined();
    clock.advance(1);
    expect(choose([channel])).toBeDefined();
  });

  test("given a key rests for one model, then it serves the others; given it rests as a whole, then none", () => {
    const channel = stateOf({ models: { m: "up-m", n: "up-n" }, keys: keysOf("k1") }, clock);
    const next = (model: string) => new RouteChoice([routeOf(channel, model)], 1, clock).next();
    next("m")?.rest("rate_limited", 60, false);
    expect(next("m")).toBeUndefined();
    const other = next("n");
    expect(other).toBeDefined();
    // What was on its way shortens nothing.
    other?.rest("quota", 60, true);
    other?.rest("rate_limited", 1, false);
    clock.advance(59_999);
    expect([next("m"), next("n")]).toEqual([undefined, undefined]);
    clock.advance(1);
    expect([next("m"), next("n")]).not.toContain(undefined);
  });

  test("given a channel that wants no key, then it rests as a whole", () => {
    const channel = stateOf({}, clock);
    const attempt = choose([channel]);
    expect(attempt?.key.secret).toBeUndefined();
    attempt?.rest("rate_limited", 1, false);
    expect(choose([channel])).toBeUndefined();
  });
});

describe("one request's attempts", () => {
  const leaveAll = (choice: RouteChoice, forGood: boolean): string[] => {
    const names: string[] = [];
    for (let attempt = choice.next(); attempt; attempt = choice.next()) {
      names.push(attempt.route.channelName);
      attempt.end("neutral");
      choice.leave(attempt, forGood);
    }
    return names;
  };

  test("given each fails, then each is tried once a round, for two rounds, and never more than the bound in all", () => {
    const routes = ["a", "b"].map((name, index) => routeOf(stateOf({ name, priority: 9 - index }, clock)));
    const choice = new RouteChoice(routes, undefined, clock);
    expect(leaveAll(choice, false)).toEqual(["a", "b"]);
    expect(choice.again()).toBe(true);
    expect(leaveAll(choice, false)).toEqual(["a", "b"]);
    expect(choice.again()).toBe(false);
    const many = Array.from({ length: 9 }, (_, index) => routeOf(stateOf({ name: String(index) }, clock)));
    expect(leaveAll(new RouteChoice(many, undefined, clock), false)).toHaveLength(attemptsMax);
  });

  test("given failures that will not pass, then there is no second round", () => {
    const choice = new RouteChoice([routeOf(stateOf({}, clock))], undefined, clock);
    expect(leaveAll(choice, true)).toHaveLength(1);
    expect(choice.again()).toBe(false);
  });

  test("given a channel that cannot take the request, then it was no attempt and changes nothing of its health", () => {
    const channel = stateOf({}, clock);
    const choice = new RouteChoice([routeOf(channel)], undefined, clock);
    const attempt = choice.next();
    if (attempt) choice.unfit(attempt);
    expect([choice.attempts, channel.running, channel.requests, choice.next()]).toEqual([0, 0, 0, undefined]);
  });
});

describe("when none can serve", () => {
  test("given a key rests for its rate, then 429 says when it wakes; given a breaker is open, then 503 does", () => {
    const limited = stateOf({ keys: keysOf("k") }, clock);
    choose([limited])?.rest("rate_limited", 20, false);
    expect(noRoute([routeOf(limited)], clock.monotonicMs())).toMatchObject({
      code: "upstream_rate_limited",
      retryAfterSeconds: 20,
    });
    const broken = stateOf({}, clock);
    fail(broken);
    const refusal = noRoute([routeOf(broken)], clock.monotonicMs());
    expect(refusal).toMatchObject({ kind: "unavailable", code: "upstream_unavailable" });
    expect(refusal.retryAfterSeconds).toBeGreaterThanOrEqual(10);
    expect(refusal.retryAfterSeconds).toBeLessThanOrEqual(12);
    const full = stateOf({ concurrencyMax: 1 }, clock);
    full.running = 1;
    expect(noRoute([routeOf(full)], clock.monotonicMs())).toMatchObject({ kind: "unavailable", retryAfterSeconds: 2 });
  });
});
