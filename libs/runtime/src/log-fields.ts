/**
 * What may be in a log line (SEC-74): these fields and no others. Adding one is a decision that somebody reviews here;
 * a field that is not in the list is dropped at run time too, so a cast does not get around it.
 */
export type LogFields = {
  readonly [K in keyof typeof allowedFields]?: FieldTypes[(typeof allowedFields)[K]] | undefined;
};

interface FieldTypes {
  readonly text: string;
  readonly number: number;
  readonly boolean: boolean;
  /** Exact; written as a decimal string. */
  readonly amount: bigint | string;
  /** Without query string, fragment and user. */
  readonly url: string;
  /** Anything thrown: written as name, message, stack. Never shown to clients. */
  readonly error: unknown;
}

export const allowedFields = {
  // Who and what
  requestId: "text",
  traceId: "text",
  spanId: "text",
  accountId: "text",
  operatorId: "text",
  sessionId: "text",
  keyId: "text",
  eventId: "text",
  leaseId: "text",
  transferId: "text",
  channelId: "text",
  imageId: "text",
  jobId: "text",
  operationId: "text",
  /** The template (`/api/keys/:keyId`), never the path that was asked for. */
  route: "text",
  method: "text",
  model: "text",
  provider: "text",
  // How it ended
  status: "number",
  code: "text",
  kind: "text",
  outcome: "text",
  reason: "text",
  error: "error",
  durationMs: "number",
  ageMs: "number",
  delayMs: "number",
  timeoutMs: "number",
  costMicroTokens: "amount",
  amountMicroTokens: "amount",
  tokensIn: "number",
  tokensOut: "number",
  // Bus and database
  subject: "text",
  stream: "text",
  consumer: "text",
  bucket: "text",
  /** Type of a bus event, `key.changed.v1`. */
  eventType: "text",
  seq: "amount",
  epoch: "text",
  partition: "number",
  revision: "number",
  deliveries: "number",
  schema: "text",
  migration: "text",
  /** Last hash of an audit log that holds. */
  chainHead: "text",
  // Process
  component: "text",
  name: "text",
  version: "text",
  instanceId: "text",
  signal: "text",
  host: "text",
  port: "number",
  adminPort: "number",
  url: "url",
  pid: "number",
  count: "number",
  total: "number",
  pending: "number",
  dropped: "number",
  bytes: "number",
  attempt: "number",
  attemptsMax: "number",
  ready: "boolean",
} as const satisfies Record<string, keyof FieldTypes>;

type CleanValue = string | number | boolean | CleanError;
export type CleanFields = Record<string, CleanValue>;
interface CleanError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: readonly string[];
  readonly detail?: CleanFields;
  readonly causes?: readonly CleanError[];
}

export const valueLengthMax = 256;
const stackLinesMax = 12;
const causesMax = 3;
const depthMax = 3;

/** C0, C1 and DEL; line and paragraph separators, which JSON leaves alone; marks that reorder text; halves of a pair. */
const unsafeCharacters =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;

/** Second line of defence: what looks like a credential is replaced wherever it turns up, mostly in error messages. */
const credentials: readonly (readonly [RegExp, string])[] = [
  // Greedy up to the last @ of the word: a password may hold @ and / without being encoded.
  [/:\/\/\S*@/g, "://[redacted]@"],
  [/\b[a-z][a-z0-9]{0,15}_(?:live|test)_[0-9A-Za-z]{20,}/g, "[redacted key]"],
  [/\bsk-[\w-]{16,}/g, "[redacted key]"],
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, "[redacted token]"],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, "$1 [redacted]"],
];

/** Stands in every text that one of the patterns above can match: one cheap look instead of five on each value. */
const credentialHint = /:\/\/|_live_|_test_|sk-|eyJ|bearer|basic/i;

/** Nearly every value: nothing to escape, nothing to cut. */
const plain = /^[ -~]{0,256}$/;

/** One line of at most 256 UTF-16 units, safe to print: a control character becomes its visible escape. Never throws. */
export function cleanText(value: string): string {
  if (plain.test(value) && !credentialHint.test(value)) return value;
  // Cut before the work as well as after it: neither the patterns nor the escapes may run over megabytes.
  let text = value.length > 4 * valueLengthMax ? value.slice(0, 4 * valueLengthMax) : value;
  if (credentialHint.test(text)) {
    for (const [pattern, replacement] of credentials) text = text.replace(pattern, replacement);
  }
  text = text.replace(unsafeCharacters, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
  if (text.length <= valueLengthMax) return text;
  return `${text.slice(0, valueLengthMax - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** The allowed fields that have the right type; everything else is left out. Never throws. */
export function cleanFields(fields: Readonly<Record<string, unknown>>): CleanFields {
  const clean: CleanFields = {};
  for (const key of Object.keys(fields)) {
    if (!isAllowed(key)) continue;
    const value = cleanValue(allowedFields[key], read(fields, key));
    if (value !== undefined) clean[key] = value;
  }
  return clean;
}

function isAllowed(key: string): key is keyof typeof allowedFields {
  return Object.hasOwn(allowedFields, key);
}

function cleanValue(type: keyof FieldTypes, value: unknown): CleanValue | undefined {
  if (value === undefined || value === null) return undefined;
  switch (type) {
    case "text":
      return typeof value === "string" ? cleanText(value) : undefined;
    case "url":
      return typeof value === "string" ? cleanUrl(value) : undefined;
    case "number":
      return typeof value === "number" ? finite(value) : undefined;
    case "boolean":
      return typeof value === "boolean" ? value : undefined;
    case "amount":
      if (typeof value === "string") return cleanText(value);
      return typeof value === "bigint" || typeof value === "number" ? String(value) : undefined;
    case "error":
      return cleanError(value, 0);
  }
}

function finite(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

function cleanUrl(value: string): string {
  if (!URL.canParse(value)) return "[not a url]";
  const url = new URL(value);
  // An origin stays an origin: readers append paths to it.
  return cleanText(`${url.protocol}//${url.host}${url.pathname === "/" ? "" : url.pathname}`);
}

/** Name, message, code, the frames of the stack as a list, facts of an AppError by the same allow-list, and causes. */
function cleanError(thrown: unknown, depth: number): CleanError {
  if (typeof thrown !== "object" || thrown === null) {
    return { name: typeof thrown, message: cleanText(String(thrown)) };
  }
  const code = read(thrown, "code");
  const detail = read(thrown, "detail");
  const facts = typeof detail === "object" && detail !== null && depth < depthMax ? cleanFields({ ...detail }) : {};
  const stack = stackOf(thrown);
  const causes = causesOf(thrown, depth);
  return {
    name: textOf(read(thrown, "name"), "Object"),
    message: textOf(read(thrown, "message"), ""),
    ...(typeof code === "string" || typeof code === "number" ? { code: cleanText(String(code)) } : {}),
    ...(stack.length > 0 ? { stack } : {}),
    ...(Object.keys(facts).length > 0 ? { detail: facts } : {}),
    ...(causes.length > 0 ? { causes } : {}),
  };
}

/** Only frames: the head of a stack repeats the message, at full length. */
function stackOf(thrown: object): readonly string[] {
  const stack = read(thrown, "stack");
  if (typeof stack !== "string") return [];
  return stack
    .slice(0, 16_384)
    .split("\n")
    .filter((line) => /^ {4}at /.test(line))
    .slice(0, stackLinesMax)
    .map((line) => cleanText(line.trim()));
}

function causesOf(thrown: object, depth: number): readonly CleanError[] {
  if (depth + 1 >= depthMax) return [];
  const cause = read(thrown, "cause");
  const errors = read(thrown, "errors");
  const all = [
    ...(cause === undefined ? [] : [cause]),
    ...(Array.isArray(errors) ? (errors as readonly unknown[]) : []),
  ];
  return all.slice(0, causesMax).map((inner) => cleanError(inner, depth + 1));
}

function textOf(value: unknown, otherwise: string): string {
  return typeof value === "string" ? cleanText(value) : otherwise;
}

/** A getter that throws must not turn a log line into a second failure. */
function read(from: object, key: string): unknown {
  try {
    return (from as Readonly<Record<string, unknown>>)[key];
  } catch {
    return undefined;
  }
}
