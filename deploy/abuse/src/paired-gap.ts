import { median } from "./mann-whitney.ts";

export interface PairedGap {
  /** Median of the differences, in the unit of the values. */
  readonly gap: number;
  /** The true median lies within these with at least 99 %. */
  readonly low: number;
  readonly high: number;
}

/** Of the normal distribution, two-sided 99 %. */
const z = 2.576;

/**
 * How far apart the two values of a pair are, for pairs that were measured one right after the other: what the machine does over
 * minutes is in both and falls out, which the medians of the two sides would keep. The interval is that of the sign test, by
 * order statistics, and supposes no shape of the distribution (Hollander, Wolfe, Chicken: Nonparametric Statistical Methods,
 * 3rd ed., §3.6, normal approximation: good from some twenty pairs). Throws RangeError without pairs.
 */
export function pairedGap(pairs: readonly (readonly [one: number, other: number])[]): PairedGap {
  const differences = pairs.map(([one, other]) => one - other).toSorted((a, b) => a - b);
  const n = differences.length;
  const below = Math.max(0, Math.floor(n / 2 - (z * Math.sqrt(n)) / 2));
  const [low, high] = [differences[below], differences[n - 1 - below]];
  if (low === undefined || high === undefined) throw new RangeError("no pairs");
  return { gap: median(differences), low, high };
}
