import { anthropicErrorTypeOf } from "@codex/kernel";
import type { JsonObject } from "../model/dialect.ts";
import type { Fault, OutputContext, WireEvent } from "../model/events.ts";
import { faultSentence } from "../model/fault.ts";
import { wireEvent } from "../sse/writer.ts";

export function messagesErrorBody(fault: Fault, requestId: string): JsonObject {
  const error = { type: anthropicErrorTypeOf[fault.kind], message: faultSentence(fault, requestId) };
  return { type: "error", error, request_id: requestId };
}

/** An error in mid-stream: an `error` event, and neither `message_delta` nor `message_stop` after it. */
export function messagesStreamFaultOut(fault: Fault, output: OutputContext): WireEvent {
  return wireEvent("error", messagesErrorBody(fault, output.answerId));
}
