import type { MicroTokens } from "@codex/kernel";

/**
 * Low-balance alerts are edges, not levels: a threshold tells once when the balance falls below it, and is armed again only when
 * the balance is clearly above, so that a balance that hovers around it does not tell again and again.
 */

export interface Threshold {
  readonly threshold: MicroTokens;
  readonly armed: boolean;
}

/** Where a threshold that has told is armed again: 5 % above it, at least one micro-token. */
export function rearmAt(threshold: MicroTokens): MicroTokens {
  const margin = threshold / 20n;
  return threshold + (margin > 0n ? margin : 1n);
}

/** What a new balance does to the thresholds. Both lists keep the order of the input. */
export function lookAtBalance(
  thresholds: readonly Threshold[],
  balance: MicroTokens,
): { readonly fired: readonly MicroTokens[]; readonly rearmed: readonly MicroTokens[] } {
  const of = (chosen: (threshold: Threshold) => boolean): readonly MicroTokens[] =>
    thresholds.filter(chosen).map(({ threshold }) => threshold);
  return {
    fired: of(({ armed, threshold }) => armed && balance < threshold),
    rearmed: of(({ armed, threshold }) => !armed && balance >= rearmAt(threshold)),
  };
}

/** Thresholds as they are set now: known ones keep their state, new ones are armed unless the balance is below them already. */
export function setThresholds(
  known: readonly Threshold[],
  wanted: readonly MicroTokens[],
  balance: MicroTokens,
): readonly Threshold[] {
  return wanted.map(
    (threshold) =>
      known.find((candidate) => candidate.threshold === threshold) ?? { threshold, armed: balance >= threshold },
  );
}
