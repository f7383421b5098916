import { storable } from "../app/apply-usage.ts";

/**
 * The text whose hash tells a repeated record from a changed one. A gateway that was upgraded reads the spool of its former life and
 * writes the records as its own contract says: with fields that the first copy did not have, at their defaults. That is the same
 * record, so it must have the same text for ever; what is stored was hashed of {@link firstForm}, which is why that never changes.
 */

type Wire = Readonly<Record<string, unknown>>;

/** Fields of a usage record at the first hash, in their order, with the defaults of those that a record may lack. */
export const firstForm: readonly (readonly [name: string, fallback?: unknown])[] = [
  ["type"],
  ["seq"],
  ["requestId"],
  ["accountId"],
  ["keyId"],
  ["leaseId"],
  ["route"],
  ["model"],
  ["channel"],
  ["status"],
  ["httpStatus"],
  ["errorCode"],
  ["streamed"],
  ["tokens"],
  ["images", null],
  ["audioMs", 0],
  ["priceGroup", "default"],
  ["estimated"],
  ["priceVersion"],
  ["holdMicroTokens"],
  ["costMicroTokens"],
  ["startedAt"],
  ["firstByteMs"],
  ["durationMs"],
];

/**
 * A field that joins the contract later goes here with its default on the wire: at the default it is no part of the text. A test
 * fails for a field of the contract that is in neither list.
 */
export const laterForm: readonly (readonly [name: string, fallback: unknown])[] = [];

/** The same for the counts inside. */
const tokenForm: readonly (readonly [name: string, fallback?: unknown])[] = [
  ["input"],
  ["cachedInput"],
  ["cacheWrite"],
  ["cacheWrite1h", 0],
  ["output"],
  ["reasoning"],
];

type Form = typeof firstForm;

function isWritten(wire: Wire, form: Form): boolean {
  const names = Object.keys(wire);
  return names.length === form.length && form.every(([name], index) => names[index] === name);
}

const valueOf = (wire: Wire, name: string, fallback: unknown): unknown => (name in wire ? wire[name] : fallback);

/** `raw` is the record as it came, as JSON; it must be a usage record that the contract takes. */
export function canonicalUsage(wire: Wire, raw: string): string {
  const tokens = wire["tokens"] as Wire;
  if (isWritten(wire, firstForm) && isWritten(tokens, tokenForm)) return raw;
  const counts = Object.fromEntries(tokenForm.map(([name, fallback]) => [name, valueOf(tokens, name, fallback)]));
  const first = firstForm.map(([name, fallback]) => [name, name === "tokens" ? counts : valueOf(wire, name, fallback)]);
  const later = laterForm
    .map(([name, fallback]) => ({ name, value: valueOf(wire, name, fallback), fallback }))
    .filter(({ value, fallback }) => JSON.stringify(value) !== JSON.stringify(fallback))
    .map(({ name, value }) => [name, value]);
  return storable(JSON.stringify(Object.fromEntries([...first, ...later])));
}
