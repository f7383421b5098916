import { z } from "zod";

/** Everything that can be set from outside. Durations in milliseconds, sizes in bytes. */
export interface DemoUpstreamConfig {
  readonly host: string;
  /** 0 = any free port; the one taken is in the line printed at start. */
  readonly port: number;
  /** When set, the only credential that is let in; when not, any non-empty one is. */
  readonly key: string | undefined;
  /** Wait before the first byte of an answer. */
  readonly firstByteMs: number;
  /** Speed of a stream. 0 = as fast as the socket takes it. */
  readonly tokensPerSecond: number;
  /** First byte of `demo-slow` without a suffix. */
  readonly slowFirstByteMs: number;
  /** Gap between the chunks of `demo-slow`. */
  readonly slowChunkMs: number;
  /** Chunks before `demo-midstream-cut` and its kin act, without a suffix. */
  readonly faultAfterChunks: number;
  /** No request lives longer, the hanging ones included. */
  readonly exchangeMsMax: number;
  readonly bodyBytesMax: number;
  readonly journalEntriesMax: number;
  readonly journalFile: string | undefined;
  /** The journal file is not written past this size; the journal says so. */
  readonly journalFileBytesMax: number;
}

/** Thrown by {@link readConfig}; the message lists every variable that is wrong, one a line. */
export class DemoConfigError extends Error {
  override readonly name = "DemoConfigError";
}

const blankIsAbsent = (value: unknown): unknown => (value === "" ? undefined : value);

function text(fallback: string, description: string): z.ZodType<string> {
  return z.preprocess(blankIsAbsent, z.string().default(fallback)).describe(description);
}

function optionalText(description: string): z.ZodType<string | undefined> {
  return z.preprocess(blankIsAbsent, z.string().optional()).describe(description);
}

/** Decimal digits only, so that `30abc` and `1e3` are refused. */
function integer(min: number, max: number, fallback: number, description: string): z.ZodType<number> {
  const problem = `must be a whole number from ${min} to ${max}`;
  const digits = z.string().regex(/^\d{1,15}$/, problem);
  const parsed = digits.transform(Number).pipe(z.number().min(min, problem).max(max, problem));
  return z.preprocess(blankIsAbsent, parsed.default(fallback)).describe(description);
}

const hourMs = 3_600_000;

const schema = z.object({
  HOST: text("127.0.0.1", "Address to listen on."),
  PORT: integer(0, 65_535, 0, "Port to listen on; 0 takes any free one."),
  DEMO_UPSTREAM_KEY: optionalText("The one credential to accept. Empty: any non-empty credential."),
  DEMO_FIRST_BYTE_MS: integer(0, hourMs, 400, "Wait before the first byte."),
  DEMO_TOKENS_PER_SECOND: integer(0, 1_000_000, 60, "Speed of a stream; 0 = no waiting."),
  DEMO_SLOW_FIRST_BYTE_MS: integer(0, hourMs, 5_000, "First byte of `demo-slow`."),
  DEMO_SLOW_CHUNK_MS: integer(0, hourMs, 500, "Gap between the chunks of `demo-slow`."),
  DEMO_FAULT_AFTER_CHUNKS: integer(1, 1_000_000, 5, "Chunks before a mid-stream fault acts."),
  DEMO_EXCHANGE_MS_MAX: integer(1_000, hourMs, 600_000, "Longest life of one request."),
  DEMO_BODY_BYTES_MAX: integer(1_024, 1_000_000_000, 40_000_000, "Largest request body."),
  DEMO_JOURNAL_ENTRIES_MAX: integer(1, 1_000_000, 10_000, "Entries the journal keeps in memory."),
  DEMO_JOURNAL_FILE: optionalText("File that every journal entry is appended to, one JSON a line."),
  DEMO_JOURNAL_FILE_BYTES_MAX: integer(1_024, 100_000_000_000, 268_435_456, "Largest size of that file."),
});

/** Strict parse of an environment; variables that are not ours are ignored. Throws {@link DemoConfigError}. */
export function readConfig(source: Readonly<Record<string, string | undefined>>): DemoUpstreamConfig {
  const parsed = schema.safeParse(source);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`);
    throw new DemoConfigError(`demo-upstream cannot start, its configuration is wrong:\n${lines.join("\n")}`);
  }
  const values = parsed.data;
  return Object.freeze({
    host: values.HOST,
    port: values.PORT,
    key: values.DEMO_UPSTREAM_KEY,
    firstByteMs: values.DEMO_FIRST_BYTE_MS,
    tokensPerSecond: values.DEMO_TOKENS_PER_SECOND,
    slowFirstByteMs: values.DEMO_SLOW_FIRST_BYTE_MS,
    slowChunkMs: values.DEMO_SLOW_CHUNK_MS,
    faultAfterChunks: values.DEMO_FAULT_AFTER_CHUNKS,
    exchangeMsMax: values.DEMO_EXCHANGE_MS_MAX,
    bodyBytesMax: values.DEMO_BODY_BYTES_MAX,
    journalEntriesMax: values.DEMO_JOURNAL_ENTRIES_MAX,
    journalFile: values.DEMO_JOURNAL_FILE,
    journalFileBytesMax: values.DEMO_JOURNAL_FILE_BYTES_MAX,
  });
}

/** The process environment, for main.ts only. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
