import { tokenClasses, type ModelPrice, type TokenCounts } from "@codex/contracts";
import { divideHalfEven, type MicroTokens } from "@codex/kernel";

export interface ReceiptLine {
  /** A token class, or `request`. */
  readonly class: string;
  readonly quantity: number;
  /** Micro-tokens per million model tokens; for `request` per request. */
  readonly rate: MicroTokens;
  /** Unrounded, in tokens of balance, always twelve fraction digits: 10⁻⁶ token × 10⁻⁶ of a million. */
  readonly exact: string;
}

const million = 1_000_000n;
const exactDigits = 12;

/**
 * The arithmetic of a charge, line by line, from which anyone can add it up again: the exact lines, and their sum rounded
 * once. A class without tokens has no line, a price without a request part has no `request` line.
 */
export function receiptOf(
  price: ModelPrice,
  tokens: TokenCounts,
): { readonly lines: readonly ReceiptLine[]; readonly sum: MicroTokens } {
  const lines: ReceiptLine[] = [];
  let exact = 0n;
  for (const tokenClass of tokenClasses) {
    const quantity = tokens[tokenClass];
    if (quantity === 0) continue;
    const rate = price.rates[tokenClass];
    const cost = BigInt(quantity) * rate;
    exact += cost;
    lines.push({ class: tokenClass, quantity, rate, exact: exactTokens(cost) });
  }
  if (price.perRequest !== 0n) {
    lines.push({
      class: "request",
      quantity: 1,
      rate: price.perRequest,
      exact: exactTokens(price.perRequest * million),
    });
  }
  return { lines, sum: divideHalfEven(exact, million) + price.perRequest };
}

/** Millionths of a micro-token as a decimal of tokens. Input is not negative. */
function exactTokens(millionths: bigint): string {
  const digits = millionths.toString().padStart(exactDigits + 1, "0");
  return `${digits.slice(0, -exactDigits)}.${digits.slice(-exactDigits)}`;
}
