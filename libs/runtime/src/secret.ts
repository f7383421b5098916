import { inspect } from "node:util";

/**
 * A value that must never reach a log, an error or a response. Every way in which JavaScript turns a value into text
 * gives `[secret]`; only `reveal()` gives the value.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
    Object.freeze(this);
  }

  /** The value itself. Call it where the bytes are used, and keep no copy. */
  reveal(): string {
    return this.#value;
  }

  toString(): "[secret]" {
    return "[secret]";
  }

  toJSON(): "[secret]" {
    return "[secret]";
  }

  [inspect.custom](): "[secret]" {
    return "[secret]";
  }
}

/** What people leave in place of a secret. Compared without case, space and punctuation. */
const knownWords = [
  "changeme",
  "changethis",
  "changeit",
  "replaceme",
  "replacethis",
  "placeholder",
  "supersecret",
  "topsecret",
  "yoursecret",
  "mysecret",
  "secret",
  "password",
  "passwd",
  "passw0rd",
  "default",
  "insecure",
  "example",
  "sample",
  "testing",
  "test",
  "admin",
  "root",
  "letmein",
  "qwertyuiop",
  "qwerty",
  "0123456789abcdef",
  "abcdefghijklmnopqrstuvwxyz",
  "1234567890",
  "0123456789",
  "12345678",
  "here",
  "your",
  "key",
] as const;

/** Words that never stand in a generated value: one of them is enough to refuse. */
const placeholders = /changeme|changethis|replaceme|replacethis|placeholder|yoursecret/;
const randomCharactersMin = 16;
const distinctCharactersMin = 8;

/**
 * Why a text must not be used as a verification secret, or undefined when it may (SEC-08). The answer never holds any
 * part of the text. `bytesMin` counts UTF-8 bytes.
 */
export function weaknessOf(text: string, bytesMin: number): string | undefined {
  if (text === "") return "is empty";
  if (text.trim() !== text) return "begins or ends with white space, which is a copying mistake";
  const letters = text.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  if (placeholders.test(letters)) return "is a known default or a placeholder";
  const rest = knownWords.reduce((left, word) => left.replaceAll(word, ""), letters);
  if (rest === "" && letters !== "") return "is a known default or a placeholder";
  const bytes = Buffer.byteLength(text, "utf8");
  if (bytes < bytesMin) return `is too short: ${String(bytes)} bytes where at least ${String(bytesMin)} are needed`;
  // The next two look for effort, so they only make sense for what is long enough to have some.
  if (bytesMin < 2 * randomCharactersMin) return undefined;
  if (letters !== "" && rest.length < randomCharactersMin && letters.length - rest.length > 0) {
    return "is mostly made of known words, so it can be guessed";
  }
  if (new Set(text).size < distinctCharactersMin || isRepeated(text))
    return "repeats a few characters, so it can be guessed";
  return undefined;
}

/** True when the text is one piece of at most half its length, over and over (a doubled string contains itself early). */
function isRepeated(text: string): boolean {
  return (text + text).indexOf(text, 1) < text.length;
}
