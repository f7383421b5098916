import { formatAmount } from "@codex/kernel/money";

/** Amounts, counts and times in the reader's language. An amount is exact: it is cut into groups, never computed with. */

/** 1234567890n, "ru" → "1 234,567890"; trailing zeros beyond two digits are left out. */
export function amountText(value: bigint, language: string): string {
  const [whole = "0", fraction = ""] = formatAmount(value).split(".");
  const shown = fraction.replace(/0{1,4}$/, "");
  const separator = new Intl.NumberFormat(language).formatToParts(1.5).find((part) => part.type === "decimal")?.value ?? ".";
  return `${whole.startsWith("-") && whole === "-0" ? "-" : ""}${new Intl.NumberFormat(language).format(BigInt(whole))}${separator}${shown}`;
}

export function countText(value: number, language: string): string {
  return new Intl.NumberFormat(language).format(value);
}

export function timeText(instant: string, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" }).format(new Date(instant));
}
