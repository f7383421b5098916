/**
 * A rate as a bucket that drains steadily (the generic cell rate algorithm, ITU-T I.371): what was taken is kept as the time
 * until it has drained, so that one number is the whole state, and nothing happens at the edge of a minute. A bucket takes
 * `limit` at once, and `limit` a minute in the long run; in no minute more than twice the limit, and that only after a minute
 * of silence. src/store/redis-limits.ts says the same in Lua.
 *
 * Glossary
 *   level   milliseconds until the bucket is empty again; 0 = nothing was taken lately
 */

export const periodMs = 60_000;

/** However much more a request used than it was thought to, it stops the next one for no longer than this. */
export const levelMaxMs = 10 * periodMs;

/** What floating point loses: seven of seven must fit. */
const roundingMs = 0.001;

/** What one taking raises the level by. More than the whole limit counts as the limit: else it could never be taken. */
export function riseMs(amount: number, limit: number): number {
  return (Math.min(amount, limit) * periodMs) / limit;
}

/** How long until `amount` fits on top of `levelMs`; 0 = now. Nothing always fits. */
export function waitMs(levelMs: number, amount: number, limit: number): number {
  if (amount <= 0) return 0;
  const over = levelMs + riseMs(amount, limit) - periodMs;
  return over < roundingMs ? 0 : over;
}

/** Whole units that can be taken at this level. */
export function remainingOf(levelMs: number, limit: number): number {
  return Math.max(0, Math.floor(((periodMs - levelMs + roundingMs) * limit) / periodMs));
}

export interface Taken {
  /** What was taken at admission. */
  readonly amount: number;
  /** The level right after it was. */
  readonly levelAfterMs: number;
  readonly limit: number;
}

/**
 * What the level changes by when it turns out that `used` was needed. More is added in full. Less gives back only what has not
 * drained meanwhile: what was taken earlier drained first, so of this taking so much is left as the level after it says.
 */
export function correctionMs(taken: Taken, used: number, elapsedMs: number): number {
  const { amount, levelAfterMs, limit } = taken;
  const risen = riseMs(amount, limit);
  const difference = (used * periodMs) / limit - risen;
  if (difference >= 0) return difference;
  const left = Math.min(risen, Math.max(0, levelAfterMs - elapsedMs));
  return -Math.min(-difference, left);
}
