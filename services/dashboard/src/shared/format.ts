import { formatAmount } from "@codex/kernel/money";

/** Amounts, counts and times in the reader's language. An amount is exact: it is cut into groups, never computed with. */

export interface AmountParts {
  /** "-1 234" */
  readonly whole: string;
  /** ",567890", the separator included. */
  readonly fraction: string;
}

/** 1234567890n, "ru" → "1 234" and ",56789": trailing zeros beyond `digitsMin` (0–6, default 2) are left out. */
export function amountParts(value: bigint, language: string, digitsMin = 2): AmountParts {
  return decimalParts(formatAmount(value), language, digitsMin);
}

/** {@link amountParts} as one text. */
export function amountText(value: bigint, language: string, digitsMin = 2): string {
  const { whole, fraction } = amountParts(value, language, digitsMin);
  return whole + fraction;
}

/** A plain decimal of any scale, as receipts carry it: "0.004000000000", "ru" → "0,004". */
export function decimalText(decimal: string, language: string): string {
  const { whole, fraction } = decimalParts(decimal, language, 2);
  return whole + fraction;
}

function decimalParts(decimal: string, language: string, digitsMin: number): AmountParts {
  const negative = decimal.startsWith("-");
  const [whole = "0", fraction = ""] = (negative ? decimal.slice(1) : decimal).split(".");
  const significant = fraction.replace(/0+$/, "").padEnd(digitsMin, "0");
  const separator = new Intl.NumberFormat(language).formatToParts(1.5).find((part) => part.type === "decimal")?.value;
  return {
    whole: `${negative ? "-" : ""}${new Intl.NumberFormat(language).format(BigInt(whole))}`,
    fraction: significant === "" ? "" : `${separator ?? "."}${significant}`,
  };
}

export function countText(value: number, language: string): string {
  return new Intl.NumberFormat(language).format(value);
}

/** Date and time to the second, in the reader's own zone. */
export function timeText(instant: string | number, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" }).format(new Date(instant));
}

/** An hour by its beginning: "26.11.2026, 14:00–15:00". */
export function hourText(start: string, language: string): string {
  const hourMs = 3_600_000;
  const begin = new Date(start);
  const format = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "short" });
  return format.formatRange(begin, new Date(begin.getTime() + hourMs));
}
