/**
 * Faults are asked for by model name, so that any client, and the gateway between, needs no special header to meet one.
 * A number or word after the name sets its size: `demo-slow-12`, `demo-slow-250ms`, `demo-midstream-cut-3`.
 */

export const hostileVariants = ["negative", "float", "huge", "string", "null", "zero", "inflated", "array"] as const;
export type HostileVariant = (typeof hostileVariants)[number];

export type Fault =
  /** An error in the dialect's shape; 429 and 503 carry `retry-after`. */
  | { readonly kind: "error"; readonly status: number; readonly retryAfterSeconds: number | undefined }
  /** The first N requests with the same body answer 503, the next succeeds, and it starts anew. */
  | { readonly kind: "flaky"; readonly failures: number }
  | { readonly kind: "slow"; readonly firstByteMs: number }
  /** Closed after N chunks, without the end of the answer; `reset` sends RST, which may lose bytes already sent. */
  | { readonly kind: "cut"; readonly afterChunks: number; readonly reset: boolean }
  /** N chunks, then nothing, with the connection open. */
  | { readonly kind: "silence"; readonly afterChunks: number }
  | { readonly kind: "error-in-stream"; readonly afterChunks: number }
  | { readonly kind: "hostile-usage"; readonly variant: HostileVariant }
  | { readonly kind: SimpleFault };

const simpleFaults = [
  "no-usage", // the answer carries no usage
  "html-502", // a proxy's HTML page
  "malformed-200", // JSON that ends in the middle, with status 200
  "error-200", // status 200 whose body is an error object
  "empty", // an answer without any text
  "refusal", // the model declines
  "hang", // accepts the request and never answers
  "crlf", // the stream's lines end in CR LF
  "one-byte", // each byte in a write of its own
  "one-write", // the whole stream in one write
  "no-terminator", // no [DONE], no message_stop
  "unbounded", // ignores the limits on the answer's length
] as const;
export type SimpleFault = (typeof simpleFaults)[number];

/** Sizes used when the name carries none. */
export interface FaultDefaults {
  readonly slowFirstByteMs: number;
  readonly faultAfterChunks: number;
}

const errorStatuses: ReadonlySet<number> = new Set([
  400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529,
]);
const retryAfterDefaultSeconds = 1;

interface Rule {
  readonly pattern: RegExp;
  readonly build: (groups: readonly (string | undefined)[], defaults: FaultDefaults) => Fault | undefined;
}

const numberOr = (value: string | undefined, fallback: number): number =>
  value === undefined ? fallback : Number(value);

const rules: readonly Rule[] = [
  {
    pattern: /^demo-error-(\d{3})(?:-(\d{1,5}))?$/,
    build: ([status, seconds]) => {
      const code = Number(status);
      if (!errorStatuses.has(code)) return undefined;
      const waits = seconds !== undefined || code === 429 || code === 503;
      return {
        kind: "error",
        status: code,
        retryAfterSeconds: waits ? numberOr(seconds, retryAfterDefaultSeconds) : undefined,
      };
    },
  },
  {
    pattern: /^demo-overloaded$/,
    build: () => ({ kind: "error", status: 529, retryAfterSeconds: undefined }),
  },
  {
    pattern: /^demo-flaky(?:-(\d{1,3}))?$/,
    build: ([failures]) => ({ kind: "flaky", failures: numberOr(failures, 2) }),
  },
  {
    pattern: /^demo-slow(?:-(\d{1,6})(ms|s)?)?$/,
    build: ([amount, unit], defaults) => ({
      kind: "slow",
      firstByteMs: amount === undefined ? defaults.slowFirstByteMs : Number(amount) * (unit === "ms" ? 1 : 1_000),
    }),
  },
  {
    pattern: /^demo-midstream-(cut|reset)(?:-(\d{1,6}))?$/,
    build: ([how, chunks], defaults) => ({
      kind: "cut",
      afterChunks: numberOr(chunks, defaults.faultAfterChunks),
      reset: how === "reset",
    }),
  },
  {
    pattern: /^demo-silence(?:-(\d{1,6}))?$/,
    build: ([chunks], defaults) => ({ kind: "silence", afterChunks: numberOr(chunks, defaults.faultAfterChunks) }),
  },
  {
    pattern: /^demo-error-in-stream(?:-(\d{1,6}))?$/,
    build: ([chunks], defaults) => ({
      kind: "error-in-stream",
      afterChunks: numberOr(chunks, defaults.faultAfterChunks),
    }),
  },
  {
    pattern: /^demo-hostile-usage(?:-([a-z]+))?$/,
    build: ([word]) => {
      const variant = hostileVariants.find((known) => known === (word ?? "negative"));
      return variant && { kind: "hostile-usage", variant };
    },
  },
];

/** The names that `GET /v1/models` lists for the faults. */
export const scriptedFaults: readonly string[] = [
  "demo-error-429",
  "demo-error-503",
  "demo-overloaded",
  "demo-flaky",
  "demo-slow",
  "demo-midstream-cut",
  "demo-midstream-reset",
  "demo-silence",
  "demo-error-in-stream",
  "demo-hostile-usage",
  ...simpleFaults.map((kind) => `demo-${kind}`),
];

/** The fault a model name asks for, or undefined when the name is not one of a fault. */
export function parseFault(name: string, defaults: FaultDefaults): Fault | undefined {
  const simple = simpleFaults.find((kind) => name === `demo-${kind}`);
  if (simple) return { kind: simple };
  for (const { pattern, build } of rules) {
    const match = pattern.exec(name);
    const fault = match && build(match.slice(1), defaults);
    if (fault) return fault;
  }
  return undefined;
}

type Json = Readonly<Record<string, unknown>>;

/** What a model with this fault reports in place of the true usage; undefined = nothing. */
export function reportedUsage(fault: Fault | undefined, truth: Json): Json | undefined {
  if (fault?.kind === "no-usage") return undefined;
  if (fault?.kind !== "hostile-usage") return truth;
  const { variant } = fault;
  return Object.fromEntries(Object.entries(truth).map(([field, value]) => [field, lie(value, variant)]));
}

function lie(value: unknown, variant: HostileVariant): unknown {
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, lie(inner, variant)]));
  }
  return typeof value === "number" ? hostileNumber(value, variant) : value;
}

function hostileNumber(value: number, variant: HostileVariant): unknown {
  switch (variant) {
    case "negative":
      return -Math.max(1, value);
    case "float":
      return value + 0.5;
    case "huge":
      // Past 2^63, so that it fits neither a safe integer nor int8.
      return 2 ** 70 + value;
    case "string":
      return String(value);
    case "null":
      return null;
    case "zero":
      return 0;
    case "inflated":
      return value * 1_000 + 1_000;
    case "array":
      return [value];
  }
}
