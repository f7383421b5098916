import type { ErrorKind } from "./errors.ts";

/** What the vendors call an error of each kind, in the bodies that their own clients read. Total by construction. */

/** The `type` of OpenAI's error body: platform.openai.com/docs/guides/error-codes (read 2026-11). */
export const openAiErrorTypeOf = {
  invalid: "invalid_request_error",
  unauthenticated: "invalid_request_error",
  quota: "insufficient_quota",
  forbidden: "permission_error",
  not_found: "invalid_request_error",
  method_not_allowed: "invalid_request_error",
  conflict: "invalid_request_error",
  too_large: "invalid_request_error",
  unsupported_media: "invalid_request_error",
  rate_limited: "rate_limit_error",
  internal: "server_error",
  upstream: "server_error",
  unavailable: "server_error",
  timeout: "server_error",
} as const satisfies Record<ErrorKind, string>;

/** The `type` of Anthropic's: docs.claude.com/en/api/errors (read 2026-11); `billing_error` is the one of a 402. */
export const anthropicErrorTypeOf = {
  invalid: "invalid_request_error",
  unauthenticated: "authentication_error",
  quota: "billing_error",
  forbidden: "permission_error",
  not_found: "not_found_error",
  method_not_allowed: "invalid_request_error",
  conflict: "invalid_request_error",
  too_large: "request_too_large",
  unsupported_media: "invalid_request_error",
  rate_limited: "rate_limit_error",
  internal: "api_error",
  upstream: "api_error",
  unavailable: "overloaded_error",
  timeout: "timeout_error",
} as const satisfies Record<ErrorKind, string>;
