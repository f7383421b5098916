import { invariant, minBigint, type MicroTokens } from "@codex/kernel";

export interface Buckets {
  readonly paid: MicroTokens;
  readonly bonus: MicroTokens;
}

/**
 * Which bucket pays how much of a debit: bonus first, then paid, as the user is told. Throws when both together do not
 * hold the amount: leases rule that out. `apply_batch` does the same in SQL; a test holds both equal.
 */
export function splitDebit(
  buckets: Buckets,
  amount: MicroTokens,
): { readonly fromBonus: MicroTokens; readonly fromPaid: MicroTokens } {
  invariant(amount >= 0n && amount <= buckets.paid + buckets.bonus, "a debit fits the two buckets");
  const fromBonus = minBigint(buckets.bonus, amount);
  return { fromBonus, fromPaid: amount - fromBonus };
}

/** The operator account that pays for a credit: bought money came through a payment, a bonus is an expense of ours. */
export function fundingAccountOf(bucket: "paid" | "bonus"): "payments_clearing" | "promo" {
  return bucket === "paid" ? "payments_clearing" : "promo";
}
