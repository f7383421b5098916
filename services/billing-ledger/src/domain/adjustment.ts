import { maxBigint, minBigint, type MicroTokens } from "@codex/kernel";

export interface Sides {
  readonly paid: MicroTokens;
  readonly bonus: MicroTokens;
  readonly held: MicroTokens;
}

export interface AdjustmentPreview {
  readonly before: Sides;
  readonly after: Sides;
  readonly needsSecondOperator: boolean;
  readonly refusal: "own_account" | "insufficient_balance" | null;
}

/**
 * What a debit by command may take from a bucket: not more than the bucket, not what pending debits are to take from paid,
 * and not more than is available, so that leases stay honoured. `debitable()` does the same in SQL; a test holds both equal.
 */
export function debitable(sides: Sides & { readonly pending: MicroTokens }, bucket: "paid" | "bonus"): MicroTokens {
  const inBucket = bucket === "paid" ? sides.paid - sides.pending : sides.bonus;
  return maxBigint(0n, minBigint(inBucket, sides.paid + sides.bonus - sides.held));
}

/** The result of an adjustment before it is made. `movedAlone` counts towards the limit of one operator. */
export function previewAdjustment(
  now: Sides & { readonly pending: MicroTokens; readonly movedAlone: MicroTokens },
  ask: { readonly bucket: "paid" | "bonus"; readonly amount: MicroTokens; readonly isOwn: boolean },
  fourEyesAbove: MicroTokens,
): AdjustmentPreview {
  const before = { paid: now.paid, bonus: now.bonus, held: now.held };
  const size = ask.amount < 0n ? -ask.amount : ask.amount;
  const needsSecondOperator = size + now.movedAlone > fourEyesAbove;
  const refused = (refusal: AdjustmentPreview["refusal"]): AdjustmentPreview => ({
    before,
    after: before,
    needsSecondOperator,
    refusal,
  });
  if (ask.isOwn) return refused("own_account");
  if (-ask.amount > debitable(now, ask.bucket)) return refused("insufficient_balance");
  const after = { ...before, [ask.bucket]: before[ask.bucket] + ask.amount };
  return { before, after, needsSecondOperator, refusal: null };
}
