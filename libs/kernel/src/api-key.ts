import { hash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

/**
 * The form of an API key: `<brand>_<live|test>_` + 40 random base62 letters (238 bits) + 6 base62 letters of the CRC-32 of
 * everything before them. It is the scheme of GitHub's token formats: a unique prefix for secret scanners, enough entropy
 * for a plain SHA-256 at rest, and a checksum so that garbage is refused without asking any store (SEC-30..32).
 */

export type KeyEnvironment = "live" | "test";

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const secretLength = 40;
const checksumLength = 6;
const keyPattern = /^([a-z][a-z0-9]{1,9})_(live|test)_([0-9A-Za-z]{40})([0-9A-Za-z]{6})$/;

/** Longest text that can be a key; anything longer is refused before the pattern is tried. */
export const apiKeyLengthMax = 10 + 1 + 4 + 1 + secretLength + checksumLength;

/** Uniform base62 letters: bytes of 248 and above are thrown away, since 248 = 4 × 62 (no modulo bias, SEC-30). */
export function randomBase62(length: number): string {
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length + 16)) {
      if (byte < 248 && text.length < length) text += base62[byte % 62] ?? "";
    }
  }
  return text;
}

function checksumOf(text: string): string {
  let rest = crc32(text);
  let letters = "";
  for (let index = 0; index < checksumLength; index += 1) {
    letters = (base62[rest % 62] ?? "") + letters;
    rest = Math.floor(rest / 62);
  }
  return letters;
}

/** A fresh key. `brand` is 2 to 10 lower-case letters or digits, beginning with a letter. Show it once, store {@link hashApiKey}. */
export function generateApiKey(brand: string, environment: KeyEnvironment): string {
  const body = `${brand}_${environment}_${randomBase62(secretLength)}`;
  const key = body + checksumOf(body);
  if (!keyPattern.test(key)) throw new Error("brand must be 2 to 10 lower-case letters or digits");
  return key;
}

/** Shape and checksum only: says nothing about whether the key exists. Undefined for garbage; never throws. */
export function checkApiKey(
  text: string,
): { readonly brand: string; readonly environment: KeyEnvironment } | undefined {
  if (text.length > apiKeyLengthMax) return undefined;
  const match = keyPattern.exec(text);
  if (!match) return undefined;
  const body = text.slice(0, -checksumLength);
  if (checksumOf(body) !== match[4]) return undefined;
  return { brand: match[1] ?? "", environment: match[2] === "test" ? "test" : "live" };
}

/** SHA-256 of the full key, lower-case hex: what is stored and what travels. */
export function hashApiKey(key: string): string {
  return hash("sha256", key, "hex");
}

/** The part that may be displayed: at most 16 characters, brand and environment included (SEC-31). */
export function displayPrefix(key: string): string {
  return key.slice(0, Math.min(16, key.lastIndexOf("_") + 5));
}
