/**
 * Glossary
 *   token        the unit of the prepaid balance
 *   micro-token  10⁻⁶ token, the smallest amount; every stored or computed amount is a bigint of these
 *   amount       on the public wire: a decimal string of tokens with exactly six fraction digits, "0.421000"
 *
 * No floating point anywhere (SEC-100). Rounding happens once per usage line, in {@link divideHalfEven}.
 */

export type MicroTokens = bigint;

export const microTokensPerToken = 1_000_000n;

/** Postgres `bigint` and our own bound: amounts outside it are refused, never wrapped. */
export const microTokensMax: MicroTokens = 2n ** 63n - 1n;

const amountPattern = /^-?(0|[1-9]\d{0,12})(\.\d{1,6})?$/;
const integerPattern = /^-?(0|[1-9]\d{0,18})$/;

/** "12.5" → 12500000n. Undefined for anything else than a plain decimal with at most six fraction digits. */
export function parseAmount(text: string): MicroTokens | undefined {
  if (!amountPattern.test(text)) return undefined;
  const negative = text.startsWith("-");
  const [whole = "0", fraction = ""] = (negative ? text.slice(1) : text).split(".");
  const value = BigInt(whole) * microTokensPerToken + BigInt(fraction.padEnd(6, "0"));
  return negative ? -value : value;
}

/** 421000n → "0.421000": always six fraction digits, so that amounts line up and compare as text of equal scale. */
export function formatAmount(value: MicroTokens): string {
  const negative = value < 0n;
  const absolute = negative ? -value : value;
  const fraction = (absolute % microTokensPerToken).toString().padStart(6, "0");
  return `${negative ? "-" : ""}${(absolute / microTokensPerToken).toString()}.${fraction}`;
}

/** Integer micro-tokens as the bus carries them. Undefined when not a canonical int8 decimal. */
export function parseMicroTokens(text: string): MicroTokens | undefined {
  if (!integerPattern.test(text)) return undefined;
  const value = BigInt(text);
  return value > microTokensMax || value < -microTokensMax ? undefined : value;
}

/**
 * numerator / denominator rounded half to even (IEEE 754 roundTiesToEven): the one rounding function of the system.
 * Denominator must be positive.
 */
export function divideHalfEven(numerator: bigint, denominator: bigint): bigint {
  if (denominator <= 0n) throw new RangeError("denominator must be positive");
  const negative = numerator < 0n;
  const absolute = negative ? -numerator : numerator;
  const quotient = absolute / denominator;
  const twice = (absolute % denominator) * 2n;
  const up = twice > denominator || (twice === denominator && quotient % 2n === 1n);
  const rounded = up ? quotient + 1n : quotient;
  return negative ? -rounded : rounded;
}

/** numerator / denominator rounded away from zero: for holds, which must never be below the charge. */
export function divideCeil(numerator: bigint, denominator: bigint): bigint {
  if (denominator <= 0n) throw new RangeError("denominator must be positive");
  if (numerator < 0n) throw new RangeError("numerator must not be negative");
  return (numerator + denominator - 1n) / denominator;
}

export function minBigint(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

export function maxBigint(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
