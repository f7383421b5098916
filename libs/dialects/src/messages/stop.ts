import type { StopReason } from "../model/answer.ts";
import type { JsonObject } from "../model/dialect.ts";

const reasons: Readonly<Record<string, StopReason>> = {
  end_turn: "end",
  max_tokens: "max_tokens",
  stop_sequence: "stop_sequence",
  tool_use: "tool_calls",
  pause_turn: "pause",
  refusal: "refusal",
  model_context_window_exceeded: "context_window",
};

export function messagesStopIn(reason: unknown): StopReason | undefined {
  return typeof reason === "string" && Object.hasOwn(reasons, reason) ? reasons[reason] : undefined;
}

export function messagesStopOut(stop: StopReason): string {
  switch (stop) {
    case "end":
      return "end_turn";
    case "max_tokens":
      return "max_tokens";
    case "stop_sequence":
      return "stop_sequence";
    case "tool_calls":
      return "tool_use";
    case "pause":
      return "pause_turn";
    case "refusal":
    case "content_filter":
      return "refusal";
    case "context_window":
      return "model_context_window_exceeded";
  }
}

/** The words of a refusal stand in `stop_details`; content is what was said before it. */
export function stopFields(stop: StopReason, stopSequence: string | undefined, refusal: string): JsonObject {
  const reason = messagesStopOut(stop);
  const details =
    reason === "refusal"
      ? { stop_details: { type: "refusal", category: null, explanation: refusal === "" ? null : refusal } }
      : {};
  return { stop_reason: reason, stop_sequence: stopSequence ?? null, ...details };
}
