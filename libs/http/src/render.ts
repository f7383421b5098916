import type { Problem } from "@codex/contracts";
import { anthropicErrorTypeOf, openAiErrorTypeOf, type AppError, type ErrorKind } from "@codex/kernel";
import { findError, InvalidRequestError } from "./error-catalogue.ts";

/**
 * Glossary
 *   surface      who reads the error: the dashboard (RFC 9457 problem+json), an OpenAI client, an Anthropic client
 *   shouldRetry  the header `x-should-retry`, which the official SDKs obey before their own rules; null sends none and
 *                leaves it to them (they retry 408, 409, 429 and 5xx: openai-node `shouldRetry`, read 2026-11)
 */

/** Total by construction: a new kind breaks the build here. Money refusals are 402 and conflicts 409, neither retried. */
export const httpStatusOf = {
  invalid: { status: 400, shouldRetry: null },
  unauthenticated: { status: 401, shouldRetry: false },
  quota: { status: 402, shouldRetry: false },
  forbidden: { status: 403, shouldRetry: null },
  not_found: { status: 404, shouldRetry: null },
  method_not_allowed: { status: 405, shouldRetry: null },
  conflict: { status: 409, shouldRetry: false },
  too_large: { status: 413, shouldRetry: null },
  unsupported_media: { status: 415, shouldRetry: null },
  rate_limited: { status: 429, shouldRetry: null },
  internal: { status: 500, shouldRetry: null },
  upstream: { status: 502, shouldRetry: null },
  unavailable: { status: 503, shouldRetry: null },
  timeout: { status: 504, shouldRetry: null },
} as const satisfies Record<ErrorKind, { status: number; shouldRetry: boolean | null }>;

export interface RenderOptions {
  /** True when a part of the request was charged already: then no SDK may repeat it by itself. */
  readonly charged?: boolean;
}

export interface RenderedError<Body> {
  readonly status: number;
  /** Lower-case names; holds content type, both spellings of the request id, and the retry headers. */
  readonly headers: Record<string, string>;
  readonly body: Body;
}

export interface OpenAiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
    readonly metadata?: Readonly<Record<string, unknown>>;
  };
}

export interface AnthropicErrorBody {
  readonly type: "error";
  readonly error: { readonly type: string; readonly message: string };
  readonly request_id: string;
}

/** The request id under OpenAI's and under Anthropic's header name. */
export function requestIdHeaders(requestId: string): Record<string, string> {
  return { "x-request-id": requestId, "request-id": requestId };
}

function retryHeaders(error: AppError, charged: boolean): Record<string, string> {
  const shouldRetry = charged ? false : httpStatusOf[error.kind].shouldRetry;
  const headers: Record<string, string> = {};
  if (shouldRetry !== null) headers["x-should-retry"] = String(shouldRetry);
  if (error.retryAfterSeconds !== undefined && shouldRetry !== false) {
    const seconds = Math.max(1, Math.ceil(error.retryAfterSeconds));
    headers["retry-after"] = String(seconds);
    headers["retry-after-ms"] = String(seconds * 1_000);
  }
  return headers;
}

function headersOf(error: AppError, requestId: string, options: RenderOptions): Record<string, string> {
  return {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-store",
    ...requestIdHeaders(requestId),
    ...retryHeaders(error, options.charged ?? false),
  };
}

/**
 * Money refusals carry OpenAI's own code, because clients stop at it and retry at codes that they do not know (clients.md §3);
 * which of ours it is stands in `metadata.reason`.
 */
const openAiQuotaCode = "insufficient_quota";

/** Within an SSE stream use the body alone: the status is already sent. The message ends with the request id. */
export function toOpenAiError(
  error: AppError,
  requestId: string,
  options: RenderOptions = {},
): RenderedError<OpenAiErrorBody> {
  const isQuota = error.kind === "quota";
  return {
    status: httpStatusOf[error.kind].status,
    headers: headersOf(error, requestId, options),
    body: {
      error: {
        message: `${error.publicMessage} — request ${requestId}`,
        type: openAiErrorTypeOf[error.kind],
        param: error.param ?? null,
        code: isQuota ? openAiQuotaCode : error.code,
        metadata: { ...(isQuota ? { reason: error.code } : {}), ...error.metadata, request_id: requestId },
      },
    },
  };
}

/** Claude Code shows the message alone, so it ends with the request id here too. */
export function toAnthropicError(
  error: AppError,
  requestId: string,
  options: RenderOptions = {},
): RenderedError<AnthropicErrorBody> {
  return {
    status: httpStatusOf[error.kind].status,
    headers: headersOf(error, requestId, options),
    body: {
      type: "error",
      error: { type: anthropicErrorTypeOf[error.kind], message: `${error.publicMessage} — request ${requestId}` },
      request_id: requestId,
    },
  };
}

/** RFC 9457. `type` is a reference relative to the origin, and a live page of the documentation. */
export function toProblem(error: AppError, requestId: string): Problem {
  const errors = error instanceof InvalidRequestError ? error.errors.map((entry) => ({ ...entry })) : undefined;
  return {
    type: `/docs/errors#${error.code}`,
    title: findError(error.code)?.title ?? "Error",
    status: httpStatusOf[error.kind].status,
    code: error.code,
    detail: error.publicMessage,
    requestId,
    ...(errors ? { errors } : {}),
    ...(error.metadata ? { metadata: { ...error.metadata } } : {}),
  };
}

/** Status, headers and body of a problem+json answer. */
export function renderProblem(error: AppError, requestId: string): RenderedError<Problem> {
  return {
    status: httpStatusOf[error.kind].status,
    headers: { ...headersOf(error, requestId, {}), "content-type": "application/problem+json" },
    body: toProblem(error, requestId),
  };
}
