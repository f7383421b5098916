import { describe, expect, test } from "@jest/globals";
import { Breaker, type AttemptOutcome, type BreakerRule } from "./breaker.ts";

const rule: BreakerRule = { failuresInRow: 3, samplesMin: 10, windowMs: 1_000, openMs: 100, openMsMax: 350 };

function made(): Breaker {
  return new Breaker(rule, () => 0);
}

function run(breaker: Breaker, nowMs: number, ...outcomes: AttemptOutcome[]): void {
  for (const outcome of outcomes) breaker.record(breaker.begin(nowMs), outcome, nowMs);
}

function opened(): Breaker {
  const breaker = made();
  run(breaker, 0, "failure", "failure", "failure");
  return breaker;
}

describe("closed", () => {
  test("given failures in a row up to the bound, then it opens; a success between begins anew", () => {
    const breaker = made();
    run(breaker, 0, "failure", "failure", "success", "failure", "failure");
    expect(breaker.state).toBe("closed");
    run(breaker, 0, "failure");
    expect([breaker.state, breaker.untilMs, breaker.allows(99), breaker.allows(100)]).toEqual([
      "open",
      100,
      false,
      true,
    ]);
  });

  test("given any number of outcomes that are nobody's fault here, then nothing changes, and no row is broken by them", () => {
    const breaker = made();
    run(breaker, 0, ...Array.from({ length: 100 }, () => "neutral" as const));
    expect(breaker.state).toBe("closed");
    run(breaker, 0, "failure", "neutral", "failure", "neutral", "failure");
    expect(breaker.state).toBe("open");
  });

  test("given half of enough attempts of a window fail, then it opens; spread over two windows it does not", () => {
    const half = ["failure", "success", "success", "failure", "failure", "success", "failure", "success"] as const;
    const breaker = made();
    run(breaker, 0, ...half, "success", "failure");
    expect(breaker.state).toBe("open");
    const slow = made();
    run(slow, 0, ...half);
    run(slow, 1_000, "success", "failure");
    expect(slow.state).toBe("closed");
  });
});

describe("half-open", () => {
  test("given its time has come, then one attempt is let through, and no other while it runs", () => {
    const breaker = opened();
    const ticket = breaker.begin(100);
    expect([breaker.state, breaker.allows(100), breaker.allows(10_000)]).toEqual(["half_open", false, false]);
    breaker.record(ticket, "success", 150);
    expect([breaker.state, breaker.allows(150), breaker.untilMs]).toEqual(["closed", true, 0]);
  });

  test("given the trial fails, then it opens for twice as long, up to its bound; given it succeeds, the next opening is short again", () => {
    const breaker = opened();
    const waits: number[] = [];
    let nowMs = breaker.untilMs;
    for (let trial = 0; trial < 4; trial += 1) {
      breaker.record(breaker.begin(nowMs), "failure", nowMs);
      waits.push(breaker.untilMs - nowMs);
      nowMs = breaker.untilMs;
    }
    expect(waits).toEqual([200, 350, 350, 350]);
    run(breaker, nowMs, "success", "failure", "failure", "failure");
    expect(breaker.untilMs - nowMs).toBe(100);
  });

  test("given the trial says nothing, then the next request is the trial", () => {
    const breaker = opened();
    breaker.record(breaker.begin(100), "neutral", 110);
    expect([breaker.state, breaker.allows(110)]).toEqual(["half_open", true]);
  });

  test("given an attempt from before the opening ends now, then it neither closes nor prolongs", () => {
    const breaker = made();
    const early = breaker.begin(0);
    run(breaker, 0, "failure", "failure", "failure");
    breaker.record(early, "success", 50);
    expect([breaker.state, breaker.untilMs]).toEqual(["open", 100]);
    const trial = breaker.begin(100);
    breaker.record(early, "failure", 101);
    breaker.record(trial, "success", 102);
    expect(breaker.state).toBe("closed");
  });
});

test("given chance, then the wait is longer by at most a fifth", () => {
  const breaker = new Breaker(rule, () => 0.999);
  run(breaker, 0, "failure", "failure", "failure");
  expect(breaker.untilMs).toBeGreaterThan(119);
  expect(breaker.untilMs).toBeLessThan(120);
});
