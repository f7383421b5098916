import { openAiErrorTypeOf } from "@codex/kernel";
import type { JsonObject } from "../model/dialect.ts";
import type { Fault, OutputContext, WireEvent } from "../model/events.ts";
import { faultSentence } from "../model/fault.ts";
import { wireEvent } from "../sse/writer.ts";

/** The code of the gateway's catalogue. */
export function faultCode({ kind, shown }: Fault): string {
  if (shown !== undefined) return shown.code;
  if (kind === "rate_limited") return "upstream_rate_limited";
  if (kind === "timeout") return "upstream_timeout";
  if (kind === "unavailable") return "upstream_unavailable";
  return kind === "invalid" ? "upstream_rejected" : "upstream_error";
}

/** The error body of chat and responses, with all four fields that their SDKs read. */
export function openAiErrorBody(fault: Fault, requestId: string, param: string | null = null): JsonObject {
  const type = openAiErrorTypeOf[fault.kind];
  const metadata = { request_id: requestId };
  return { error: { message: faultSentence(fault, requestId), type, param, code: faultCode(fault), metadata } };
}

/** An error in mid-stream: an event with `error` in place of `choices`, and no `[DONE]` after it. */
export function chatStreamFaultOut(fault: Fault, output: OutputContext): WireEvent {
  return wireEvent("", openAiErrorBody(fault, output.answerId));
}
