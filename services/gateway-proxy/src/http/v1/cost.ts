import { formatAmount } from "@codex/kernel";
import type { Charge } from "../../domain/charge.ts";

/** What every answer says of its price: `usage.cost` as a number for people, the exact amount as text beside it. */
export function costFields(
  charge: Pick<Charge, "cost" | "estimated">,
  priceVersion: string,
): Readonly<Record<string, unknown>> {
  const amount = formatAmount(charge.cost);
  return {
    cost: Number(amount),
    cost_details: { amount, currency: "token", price_version: priceVersion, estimated: charge.estimated },
  };
}
