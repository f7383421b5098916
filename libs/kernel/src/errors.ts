/**
 * Glossary
 *   kind           what a caller can do about it; decides the HTTP status (libs/http) and whether an SDK may retry
 *   code           stable machine word, `snake_case`, documented in docs/errors.md
 *   publicMessage  one sentence that may be shown to the caller
 *   detail         facts for our log only; never rendered
 */

/** Closed set: adding a kind breaks the build of every `satisfies Record<ErrorKind, …>` until it is mapped. */
export type ErrorKind =
  | "invalid"
  | "unauthenticated"
  | "quota"
  | "forbidden"
  | "not_found"
  | "method_not_allowed"
  | "conflict"
  | "too_large"
  | "unsupported_media"
  | "rate_limited"
  | "internal"
  | "upstream"
  | "unavailable"
  | "timeout";

export interface AppErrorInit {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly publicMessage: string;
  /** Facts for the log. Must not hold key material or request bodies. */
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
  /** The request field at fault, as the OpenAI error body names it (`param`) or as a JSON pointer. */
  readonly param?: string;
  /** Whole seconds until a retry can succeed; rendered as `retry-after`. */
  readonly retryAfterSeconds?: number;
  /** Facts that may be shown to the caller beside the sentence (amounts as strings, names). */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/**
 * Kinds that anybody can have by the thousand, at the cost of a request: what refuses them must be cheap, and where in the code it
 * was said tells nobody anything. Taking the stack was the dearest part of such a refusal.
 */
const withoutStack: ReadonlySet<ErrorKind> = new Set(["rate_limited", "unauthenticated"]);

/** The one error class that crosses module borders. Expected refusals inside a use case are return values instead. */
export class AppError extends Error {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly publicMessage: string;
  readonly detail: Readonly<Record<string, unknown>> | undefined;
  readonly param: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;

  constructor(init: AppErrorInit) {
    const { stackTraceLimit } = Error;
    if (withoutStack.has(init.kind)) Error.stackTraceLimit = 0;
    super(`${init.code}: ${init.publicMessage}`, init.cause === undefined ? undefined : { cause: init.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = "AppError";
    this.kind = init.kind;
    this.code = init.code;
    this.publicMessage = init.publicMessage;
    this.detail = init.detail;
    this.param = init.param;
    this.retryAfterSeconds = init.retryAfterSeconds;
    this.metadata = init.metadata;
  }
}

/** Turns anything thrown into an AppError; what we do not know becomes the fixed `internal_error` with the cause kept. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  return new AppError({
    kind: "internal",
    code: "internal_error",
    publicMessage: "Something went wrong on our side. Please try again.",
    cause: thrown,
  });
}

/** For states the code rules out; reaching it is a defect, never a user error. */
export function assertNever(value: never, what: string): never {
  throw new Error(`unreachable ${what}: ${String(value)}`);
}

/** Throws a plain Error (a defect, rendered as a 500) when an invariant does not hold. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`invariant violated: ${message}`);
}
