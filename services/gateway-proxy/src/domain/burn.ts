import { maxBigint, type MicroTokens } from "@codex/kernel";

/**
 * How fast an account spends, for the size of its next lease. A sum that leaks: what was spent counts fully at once and
 * fades over the interval, so at a steady rate it is what is spent in one interval. Integers only, no clock.
 */
export class Burn {
  private readonly intervalMs: bigint;
  private faded: MicroTokens = 0n;
  private atMs = 0;

  /** `intervalMs` at least 1: the time a lease should last. */
  constructor(intervalMs: number) {
    this.intervalMs = BigInt(intervalMs);
  }

  spend(amount: MicroTokens, nowMs: number): void {
    this.faded = this.recent(nowMs) + amount;
    this.atMs = nowMs;
  }

  /** About what an interval costs, in micro-tokens. */
  recent(nowMs: number): MicroTokens {
    const passedMs = BigInt(Math.max(0, Math.floor(nowMs - this.atMs)));
    if (passedMs === 0n || this.faded === 0n) return this.faded;
    // 1 / (1 + x) instead of e^-x: close for small x, and exact enough for a size that only saves round trips.
    return (this.faded * this.intervalMs) / (this.intervalMs + passedMs);
  }

  /** What to ask for: half as much again as an interval costs, never less than `least`. */
  want(nowMs: number, least: MicroTokens): MicroTokens {
    return maxBigint(least, (this.recent(nowMs) * 3n) / 2n);
  }
}
