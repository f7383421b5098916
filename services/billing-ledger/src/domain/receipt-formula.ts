/** Printed on every receipt. What it says is what `receiptOf` and `checkCharge` do. */
export const receiptFormula =
  "computed = Σ quantity × rate ÷ 1,000,000 over the token classes, rounded half-even once to 0.000001, " +
  "plus quantity × rate of the classes that are priced by the piece; " +
  "charged = computed, never more than hold, and less where the reserved balance was used up or a rule of ours reduced it";
