import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { Random } from "../src/random.ts";
import { scenarios } from "../src/scenarios.ts";
import { makeSchedule, type ScheduleOptions, type Targets } from "../src/schedule.ts";

const targets: Targets = {
  gateways: ["gateway-1.1", "gateway-1.2", "gateway-2.1", "gateway-2.2"],
  gatewayHosts: ["gateway-1", "gateway-2"],
  billings: ["billing-1", "billing-2"],
  others: ["key-registry"],
  servers: ["postgres", "redis", "nats"],
  links: ["billing-1→nats", "billing-1→postgres", "gateway-1.1→nats"],
};
const random = scenarios.find(({ name }) => name === "random");

function options(seed: number, more: Partial<ScheduleOptions> = {}): ScheduleOptions {
  return {
    random: new Random(seed),
    durationMs: 600_000,
    weights: random?.weights ?? [],
    targets,
    gapMs: [400, 4_000],
    takeOverMs: 3_000,
    ...more,
  };
}

describe("a schedule", () => {
  test("is the same for the same seed, and another for another", () => {
    expect(makeSchedule(options(7))).toEqual(makeSchedule(options(7)));
    expect(makeSchedule(options(7))).not.toEqual(makeSchedule(options(8)));
  });

  test("does not change for what already was when the run is longer", () => {
    const short = makeSchedule(options(7, { durationMs: 60_000 }));
    expect(makeSchedule(options(7)).slice(0, short.length)).toEqual(short);
  });

  test("of ten minutes has every kind that the scenario names, and every server and service among its kills", () => {
    const actions = makeSchedule(options(1));
    expect(new Set(actions.map(({ kind }) => kind))).toEqual(new Set(random?.weights.map(([kind]) => kind)));
    const killed = new Set(actions.filter(({ kind }) => kind === "kill").map(({ target }) => target));
    expect(killed).toEqual(new Set([...targets.gateways, ...targets.billings, ...targets.servers, ...targets.others]));
  });

  test("has pauses shorter and longer than the ack wait", () => {
    const pauses = makeSchedule(options(1)).filter(({ kind }) => kind === "pause");
    expect(pauses.some(({ ms }) => ms > 3_000)).toBe(true);
    expect(pauses.some(({ ms }) => ms < 3_000)).toBe(true);
  });

  test("keeps its gaps and names only what there is, for every seed", () => {
    const known = new Set(Object.values(targets).flat());
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_294_967_295 }), (seed) => {
        const actions = makeSchedule(options(seed, { durationMs: 60_000 }));
        actions.forEach(({ atMs, target, ms }, index) => {
          const gap = atMs - (actions[index - 1]?.atMs ?? atMs - 400);
          expect(gap).toBeGreaterThanOrEqual(400);
          expect(gap).toBeLessThanOrEqual(4_000);
          expect(known).toContain(target);
          expect(ms).toBeGreaterThan(0);
        });
      }),
      { numRuns: 100 },
    );
  });
});

describe("random numbers", () => {
  test("a fork depends on the seed and its label alone, and not on what others draw from theirs", () => {
    const draw = (disturb: boolean): number[] => {
      const parent = new Random(5);
      const [one, two] = [parent.fork("one"), parent.fork("two")];
      if (disturb) for (let count = 0; count < 10; count += 1) two.next();
      return [one.next(), one.next()];
    };
    expect(draw(true)).toEqual(draw(false));
  });

  test("a shuffled list has the same members", () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.nat(), (list, seed) => {
        const byValue = (left: number, right: number): number => left - right;
        expect(new Random(seed).shuffled(list).sort(byValue)).toEqual([...list].sort(byValue));
      }),
    );
  });
});
