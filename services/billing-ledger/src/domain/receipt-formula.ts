/** Printed on every receipt. What it says is what `receiptOf` and `checkCharge` do. */
export const receiptFormula =
  "exact of a line = quantity × rate, ÷ 1,000,000 for a token class, ÷ 1,000 for milliseconds of audio; " +
  "computed = Σ exact of the lines × offPeakPpm ÷ 1,000,000 × groupPpm ÷ 1,000,000, rounded half-even once to 0.000001; " +
  "charged = computed, never more than hold, and less where the reserved balance was used up or a rule of ours reduced it";
