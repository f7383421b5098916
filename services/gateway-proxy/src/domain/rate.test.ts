import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { correctionMs, periodMs, remainingOf, riseMs, waitMs } from "./rate.ts";

describe("a bucket", () => {
  test.each([1, 7, 60, 600, 999_983])("given a limit of %d, then exactly so many fit at once", (limit) => {
    let level = 0;
    const seen = Math.min(limit, 1_000);
    for (let taken = 0; taken < seen; taken += 1) {
      expect(waitMs(level, 1, limit)).toBeLessThan(0.001);
      level += riseMs(1, limit);
      expect(remainingOf(level, limit)).toBe(limit - taken - 1);
    }
    if (seen === limit) expect(waitMs(level, 1, limit)).toBeCloseTo(periodMs / limit, 6);
  });

  test("given sixty at once, then at each edge of a second one more, and none before it", () => {
    expect(waitMs(60_000, 1, 60)).toBe(1_000);
    expect(waitMs(59_001, 1, 60)).toBe(1);
    expect(waitMs(59_000, 1, 60)).toBe(0);
    expect(waitMs(60_000, 10, 60)).toBe(10_000);
  });

  test("given more than the limit, then it is taken when the bucket is empty, and only then", () => {
    expect(waitMs(0, 5_000, 1_000)).toBe(0);
    expect(waitMs(1, 5_000, 1_000)).toBe(1);
    expect(remainingOf(riseMs(5_000, 1_000), 1_000)).toBe(0);
  });

  test("given nothing is asked for, then a full bucket does not refuse", () => {
    expect(waitMs(90_000, 0, 10)).toBe(0);
    expect(remainingOf(90_000, 10)).toBe(0);
  });
});

describe("a correction", () => {
  const limit = 600;
  const taken = { amount: 300, levelAfterMs: 30_000, limit };

  test.each([
    ["as much as thought", 300, 0, 0],
    ["more", 400, 0, 10_000],
    ["more, long after", 400, 300_000, 10_000],
    ["less, at once", 100, 0, -20_000],
    ["nothing, at once", 0, 0, -30_000],
    ["less, when a part has drained", 100, 5_000, -20_000],
    ["less, when most has drained", 100, 25_000, -5_000],
    ["less, when all has drained", 100, 60_000, -0],
  ])("%s", (_what, used, elapsedMs, expected) => {
    expect(correctionMs(taken, used, elapsedMs)).toBe(expected);
  });

  test("given others took before it, then theirs drained first", () => {
    expect(correctionMs({ ...taken, levelAfterMs: 60_000 }, 0, 30_000)).toBe(-30_000);
  });

  test("given any takings and corrections, then the level is never lower than what was really used has left", () => {
    const step = fc.record({
      amount: fc.integer({ min: 1, max: 800 }),
      used: fc.integer({ min: 0, max: 800 }),
      runsMs: fc.integer({ min: 0, max: 90_000 }),
      pauseMs: fc.integer({ min: 0, max: 20_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
        let level = 0;
        let truth = 0;
        for (const { amount, used, runsMs, pauseMs } of steps) {
          level += riseMs(amount, limit);
          const after = level;
          // One at a time: it runs, both drain, it is corrected.
          level = Math.max(0, level - runsMs);
          truth = Math.max(0, truth + (used * periodMs) / limit - runsMs);
          const change = correctionMs({ amount, levelAfterMs: after, limit }, used, runsMs);
          level = Math.max(0, level + change);
          expect(level).toBeGreaterThanOrEqual(truth - 0.001);
          level = Math.max(0, level - pauseMs);
          truth = Math.max(0, truth - pauseMs);
        }
      }),
    );
  });
});
