import type { ErrorKind } from "@codex/kernel";
import { faultCode } from "../chat/error-out.ts";
import type { JsonObject } from "../model/dialect.ts";
import type { Fault, OutputContext } from "../model/events.ts";
import { faultSentence } from "../model/fault.ts";

/** `response.error` of a failed response: its code is one of a closed set, which codex reads to decide on a retry. */
export function failedError(fault: Fault, output: OutputContext): JsonObject {
  return { code: failedCode(fault.kind), message: faultSentence(fault, output.answerId) };
}

function failedCode(kind: ErrorKind): string {
  if (kind === "rate_limited") return "rate_limit_exceeded";
  return kind === "invalid" ? "invalid_prompt" : "server_error";
}

/** The fields of the `error` event that goes before `response.failed`. */
export function errorEvent(fault: Fault, output: OutputContext): JsonObject {
  return { type: "error", code: faultCode(fault), message: faultSentence(fault, output.answerId), param: null };
}
