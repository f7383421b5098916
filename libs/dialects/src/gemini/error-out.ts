import type { ErrorKind } from "@codex/kernel";
import type { JsonObject } from "../model/dialect.ts";
import type { Fault, OutputContext, WireEvent } from "../model/events.ts";
import { faultSentence } from "../model/fault.ts";
import { wireEvent } from "../sse/writer.ts";

/** The `status` words of google.rpc.Code, and the HTTP status that Google pairs with them. */
const statusOf = {
  invalid: { code: 400, status: "INVALID_ARGUMENT" },
  unauthenticated: { code: 401, status: "UNAUTHENTICATED" },
  quota: { code: 402, status: "FAILED_PRECONDITION" },
  forbidden: { code: 403, status: "PERMISSION_DENIED" },
  not_found: { code: 404, status: "NOT_FOUND" },
  method_not_allowed: { code: 405, status: "INVALID_ARGUMENT" },
  conflict: { code: 409, status: "ABORTED" },
  too_large: { code: 413, status: "INVALID_ARGUMENT" },
  unsupported_media: { code: 415, status: "INVALID_ARGUMENT" },
  rate_limited: { code: 429, status: "RESOURCE_EXHAUSTED" },
  internal: { code: 500, status: "INTERNAL" },
  upstream: { code: 502, status: "INTERNAL" },
  unavailable: { code: 503, status: "UNAVAILABLE" },
  timeout: { code: 504, status: "DEADLINE_EXCEEDED" },
} as const satisfies Record<ErrorKind, { code: number; status: string }>;

export function geminiErrorBody(fault: Fault, requestId: string): JsonObject {
  const { code, status } = statusOf[fault.kind];
  return { error: { code, message: faultSentence(fault, requestId), status } };
}

export function geminiStreamFaultOut(fault: Fault, output: OutputContext): WireEvent {
  return wireEvent("", geminiErrorBody(fault, output.answerId));
}
