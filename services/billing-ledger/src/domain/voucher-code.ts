/**
 * A voucher code: `CX-` and five groups of five letters of Crockford's base32 (https://www.crockford.com/base32.html): 24 carry
 * 120 random bits, the last is a check letter. Nobody guesses 120 bits, so the check letter gives nothing away; it lets a page say
 * "mistyped" without asking.
 *
 * The check letter makes Σ αⁱ·cᵢ = 0 over GF(32), α a root of x⁵ + x² + 1. All 25 powers differ (α has order 31), so every single
 * wrong letter and every swap of two letters is found.
 */

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const prefix = "CX";
export const voucherCodeBytes = 15;
const dataLetters = 24;
const groupLetters = 5;

/** `bytes`: {@link voucherCodeBytes} random bytes. */
export function voucherCodeOf(bytes: Uint8Array): string {
  if (bytes.length !== voucherCodeBytes) throw new RangeError("a voucher code needs 15 bytes");
  let bits = bytes.reduce((all, byte) => (all << 8n) | BigInt(byte), 0n);
  let letters = "";
  for (let place = 0; place < dataLetters; place += 1) {
    letters = letterOf(Number(bits & 31n)) + letters;
    bits >>= 5n;
  }
  const whole = letters + letterOf(checkOf(letters));
  const groups = Array.from({ length: groupLetters }, (_, group) =>
    whole.slice(group * groupLetters, (group + 1) * groupLetters),
  );
  return [prefix, ...groups].join("-");
}

/**
 * The 25 letters of a code however it was typed: any case, with or without hyphens, spaces and prefix, O for 0, I or L for 1.
 * Undefined when it cannot be a code.
 */
export function parseVoucherCode(text: string): string | undefined {
  const typed = text.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  const letters = typed.length === dataLetters + 1 + prefix.length && typed.startsWith(prefix) ? typed.slice(2) : typed;
  if (!/^[0-9A-HJKMNP-TV-Z]{25}$/.test(letters)) return undefined;
  return letters.endsWith(letterOf(checkOf(letters.slice(0, dataLetters)))) ? letters : undefined;
}

function letterOf(value: number): string {
  return alphabet[value] ?? "";
}

function checkOf(letters: string): number {
  let sum = 0;
  for (const letter of letters) sum = timesAlpha(sum ^ alphabet.indexOf(letter));
  return sum;
}

function timesAlpha(value: number): number {
  const doubled = value << 1;
  return doubled > 31 ? doubled ^ 0b100101 : doubled;
}
