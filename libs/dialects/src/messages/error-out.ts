import type { ErrorKind } from "@codex/kernel";
import type { JsonObject } from "../model/dialect.ts";
import type { Fault, OutputContext, WireEvent } from "../model/events.ts";
import { faultSentence } from "../model/fault.ts";
import { wireEvent } from "../sse/writer.ts";

/** docs.claude.com/en/api/errors (read 2026-11); `billing_error` is the one of a 402. */
const anthropicTypeOf = {
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

export function messagesErrorBody(fault: Fault, requestId: string): JsonObject {
  const error = { type: anthropicTypeOf[fault.kind], message: faultSentence(fault, requestId) };
  return { type: "error", error, request_id: requestId };
}

/** An error in mid-stream: an `error` event, and neither `message_delta` nor `message_stop` after it. */
export function messagesStreamFaultOut(fault: Fault, output: OutputContext): WireEvent {
  return wireEvent("error", messagesErrorBody(fault, output.answerId));
}
