import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { mannWhitney, median } from "../src/mann-whitney.ts";
import { pairedGap } from "../src/paired-gap.ts";
import type { SuiteOptions } from "../src/suite.ts";
import { suites } from "../src/suites/index.ts";
import { startWorld, type World } from "../src/world.ts";

// The short form of `npm run abuse`: every suite whose verdict does not depend on the machine's speed, with few cases. A new
// route is in it by itself, since all of them go over the registries.

let world: World;
/** Printed with a finding; the long form takes another each time. */
const seed = 20_261_126;
const few: SuiteOptions = { seed, cases: 4, calls: 20, parallel: 12, whole: false, log: () => undefined };

beforeAll(async () => {
  world = await startWorld();
}, 240_000);
afterAll(() => world.stop(), 60_000);

describe("given the running services", () => {
  test.each(suites.filter(({ isDeterministic }) => isDeterministic).map((suite) => [suite.name, suite] as const))(
    "when they are attacked by the suite %s, then nothing is found",
    async (_name, suite) => {
      const outcomes = await suite.run(world, few);
      const found = outcomes.flatMap(({ what, findings }) =>
        findings.map((finding) => `seed ${String(seed)}: ${what}: ${finding}`),
      );
      expect(found).toEqual([]);
      expect(outcomes.every(({ tried }) => tried > 0)).toBe(true);
    },
    300_000,
  );
});

describe("the rank test", () => {
  const even = Array.from({ length: 300 }, (_none, index) => index * 2);
  const odd = even.map((value) => value + 1);

  test("given two samples of one distribution, then it does not tell them apart; given one that is later, then it does", () => {
    expect(mannWhitney(even, odd)).toBeGreaterThan(0.9);
    expect(
      mannWhitney(
        even,
        odd.map((value) => value + 60),
      ),
    ).toBeLessThan(0.01);
    expect(mannWhitney([7, 7, 7], [7, 7, 7])).toBe(1);
  });

  test("given ties, then it is what the formula gives by hand: U 14, variance 38.3, z 0.565", () => {
    expect(mannWhitney([1, 2, 2, 3, 9, 9], [2, 4, 5, 6, 7, 8])).toBeCloseTo(0.572, 2);
  });

  test("given values, then the median is the middle one, or between the two", () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
    expect(() => median([])).toThrow(RangeError);
  });
});

describe("the gap within a pair", () => {
  /** A machine that gets slower and slower, and noise that is the same on both sides. */
  const pairs = Array.from({ length: 300 }, (_none, index): readonly [number, number] => {
    const drift = index;
    return [drift + ((index * 37) % 41), drift + ((index * 53) % 41)];
  });

  test("given both take equally long on a machine that slows down, then 0 is within its bounds", () => {
    const { gap, low, high } = pairedGap(pairs);
    expect(low).toBeLessThanOrEqual(0);
    expect(high).toBeGreaterThanOrEqual(0);
    expect(Math.abs(gap)).toBeLessThan(5);
  });

  test("given one takes 8 longer, which the drift hides from the medians, then 0 is without its bounds", () => {
    const later = pairs.map(([one, other]): readonly [number, number] => [one + 8, other]);
    const { gap, low } = pairedGap(later);
    expect(low).toBeGreaterThan(0);
    expect(gap).toBeCloseTo(8, -1);
  });

  test("given five pairs by hand, then all of them are the bounds", () => {
    expect(
      pairedGap([
        [5, 1],
        [3, 1],
        [2, 1],
        [1, 1],
        [0, 1],
      ]),
    ).toEqual({ gap: 1, low: -1, high: 4 });
    expect(() => pairedGap([])).toThrow(RangeError);
  });
});
