import { AppError } from "@codex/kernel";

/**
 * Whose fault a refusal is. It decides who suffers for it:
 *   request       the client's own; answered at once, nothing is tried again, no channel is blamed
 *   key_rate      the key is over its rate for the model; it rests for that model, another key or channel is asked
 *   key_quota     the account behind the key has no money or quota left; likewise, for longer
 *   key_rejected  the key is wrong or revoked (401), or may not use the model (403: it rests for that one); likewise
 *   channel       anything else: it counts against the channel and the model
 */
export type FaultScope = "request" | "key_rate" | "key_quota" | "key_rejected" | "channel";

/** What can be read of an upstream's error body. For telling faults apart only: its words never reach a client. */
export interface UpstreamError {
  /** OpenAI's `error.code` or `error.type`, Anthropic's `error.type`, Google's `error.status`. */
  readonly code: string;
  readonly message: string;
  /** Google's `error.details[].reason`. */
  readonly reason: string;
  /** Google's `error.details[].retryDelay`, in whole seconds. */
  readonly retryAfterSeconds: number | undefined;
}

export const noUpstreamError: UpstreamError = { code: "", message: "", reason: "", retryAfterSeconds: undefined };

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === "object" && value !== null ? (value as Fields) : undefined;
const textOf = (value: unknown): string => (typeof value === "string" ? value.slice(0, 1_000) : "");

/** Never throws; what is not an error body is an empty one. */
export function readUpstreamError(body: string): UpstreamError {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return noUpstreamError;
  }
  // Google's compatible endpoint wraps its error in an array.
  const outer = fieldsOf(Array.isArray(parsed) ? (parsed as unknown[])[0] : parsed);
  const error = fieldsOf(outer?.["error"]) ?? outer;
  if (!error) return noUpstreamError;
  const details = Array.isArray(error["details"]) ? (error["details"] as unknown[]).slice(0, 10).map(fieldsOf) : [];
  const delay = details
    .map((detail) => /^(\d{1,6})(?:\.\d+)?s$/.exec(textOf(detail?.["retryDelay"]))?.[1])
    .find(Boolean);
  return {
    code: textOf(error["code"]) || textOf(error["status"]) || textOf(error["type"]),
    message: textOf(error["message"]),
    reason: details.map((detail) => textOf(detail?.["reason"])).find(Boolean) ?? "",
    retryAfterSeconds: delay === undefined ? undefined : Number(delay) + 1,
  };
}

const quotaCodes = new Set(["insufficient_quota", "billing_hard_limit_reached", "billing_error", "credit_exhausted"]);
const requestStatuses = new Set([400, 409, 413, 414, 415, 422, 431, 451]);

/** The common reading; a kind may know better. */
export function faultOf(status: number, error: UpstreamError): FaultScope {
  if (status === 402 || quotaCodes.has(error.code)) return "key_quota";
  if (status === 429) return "key_rate";
  if (status === 401 || status === 403) return "key_rejected";
  return requestStatuses.has(status) ? "request" : "channel";
}

/**
 * The client's error for a refusal of the upstream. Its text is never passed on: it may quote the prompt or name our
 * account. Our own key being refused or out of money is our outage, not the client's mistake (clients.md §3).
 */
export function errorOf(scope: FaultScope, status: number, retryAfterSeconds?: number, code = ""): AppError {
  const detail = { status, code };
  if (scope === "request") return rejected(code, detail);
  if (scope === "key_rate") {
    return new AppError({
      kind: "rate_limited",
      code: "upstream_rate_limited",
      publicMessage:
        "The model's provider is limiting requests at the moment. You were not charged. Please try again shortly.",
      retryAfterSeconds: boundedWait(retryAfterSeconds),
      detail,
    });
  }
  if (status === 503 || status === 529) {
    return new AppError({
      kind: "unavailable",
      code: "upstream_unavailable",
      publicMessage: "The model's provider is overloaded at the moment. You were not charged. Please try again.",
      retryAfterSeconds: boundedWait(retryAfterSeconds),
      detail,
    });
  }
  return new AppError({
    kind: "upstream",
    code: "upstream_error",
    publicMessage: "The model's provider failed to answer this request. You were not charged. Please try again.",
    detail,
  });
}

function rejected(code: string, detail: Readonly<Record<string, unknown>>): AppError {
  if (code === "context_length_exceeded") {
    return new AppError({
      kind: "invalid",
      code,
      publicMessage:
        "The conversation is too long for this model. You were not charged. Shorten it, or use a model with a larger context.",
      detail,
    });
  }
  return new AppError({
    kind: "invalid",
    code: "upstream_rejected",
    publicMessage:
      "The model's provider refused this request as invalid. You were not charged. Check the parameters against what the model supports.",
    detail,
  });
}

/** What a client is told to wait: 1 to 60 s, whatever the upstream says. */
function boundedWait(seconds: number | undefined): number {
  return Math.max(1, Math.min(seconds ?? 1, 60));
}

/** "ECONNRESET", "UND_ERR_SOCKET"; empty when there is none. */
export function systemCodeOf(error: unknown): string {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}

/**
 * The client's error for what the connection to an upstream throws, also in the middle of an answer of which nothing was
 * passed on; undefined for any other error, which is a defect of ours.
 */
export function transportFailure(error: unknown): AppError | undefined {
  // An AppError's own code is a word of ours.
  const code = error instanceof AppError ? "" : systemCodeOf(error);
  if (code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_BODY_TIMEOUT") {
    return new AppError({
      kind: "timeout",
      code: "upstream_timeout",
      publicMessage: "The model's provider did not answer in time. You were not charged. Please try again.",
      cause: error,
      retryAfterSeconds: 1,
    });
  }
  return /^(UND_ERR_|HPE_|CERT_|ERR_TLS_|ERR_SSL_|E[A-Z]+$|[A-Z_]*CERT[A-Z_]*$)/.test(code)
    ? unreachable(error)
    : undefined;
}

export function unreachable(error: unknown): AppError {
  return new AppError({
    kind: "unavailable",
    code: "upstream_unavailable",
    publicMessage: "The model's provider cannot be reached at the moment. You were not charged. Please try again.",
    cause: error,
    retryAfterSeconds: 1,
  });
}
