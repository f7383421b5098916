import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { lookAtBalance, rearmAt, setThresholds, type Threshold } from "./low-balance.ts";

function after(thresholds: readonly Threshold[], balance: bigint): { told: bigint[]; thresholds: Threshold[] } {
  const { fired, rearmed } = lookAtBalance(thresholds, balance);
  return {
    told: [...fired],
    thresholds: thresholds.map(({ threshold, armed }) => ({
      threshold,
      armed: rearmed.includes(threshold) || (armed && !fired.includes(threshold)),
    })),
  };
}

function tell(thresholds: readonly Threshold[], balances: readonly bigint[]): bigint[] {
  let state = [...thresholds];
  return balances.flatMap((balance) => {
    const step = after(state, balance);
    state = step.thresholds;
    return step.told;
  });
}

describe("low balance", () => {
  const hundred = [{ threshold: 100n, armed: true }];

  test.each<readonly [string, readonly bigint[], readonly bigint[]]>([
    ["falls below", [150n, 99n], [100n]],
    ["stands at the threshold", [150n, 100n], []],
    ["stays below", [99n, 50n, 0n], [100n]],
    ["hovers within five per cent", [99n, 104n, 99n, 104n, 99n], [100n]],
    ["recovers and falls again", [99n, 105n, 99n], [100n, 100n]],
  ])("given a balance that %s, then it tells once a crossing", (_name, balances, told) => {
    expect(tell(hundred, balances)).toEqual(told);
  });

  test("given a drop through several thresholds, then each tells", () => {
    const thresholds = [200n, 100n, 50n].map((threshold) => ({ threshold, armed: true }));
    expect(tell(thresholds, [300n, 60n])).toEqual([200n, 100n]);
  });

  test("given any walk of a balance, then between two alerts of a threshold the balance was armed again, and the first look below tells", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: 1_000n }),
        fc.array(fc.bigInt({ min: 0n, max: 1_200n }), { maxLength: 60 }),
        (threshold, balances) => {
          let state: Threshold[] = [{ threshold, armed: true }];
          let highestSinceAlert = threshold * 2n;
          for (const balance of balances) {
            highestSinceAlert = balance > highestSinceAlert ? balance : highestSinceAlert;
            const step = after(state, balance);
            const isDue = balance < threshold && highestSinceAlert >= rearmAt(threshold);
            expect(step.told).toEqual(isDue ? [threshold] : []);
            if (isDue) highestSinceAlert = balance;
            state = step.thresholds;
          }
        },
      ),
    );
  });

  test("given new settings, then known thresholds keep their state and new ones below the balance are armed", () => {
    const known = [{ threshold: 100n, armed: false }];
    expect(setThresholds(known, [300n, 200n, 100n], 250n)).toEqual([
      { threshold: 300n, armed: false },
      { threshold: 200n, armed: true },
      { threshold: 100n, armed: false },
    ]);
  });
});
