import type { StopReason } from "../model/answer.ts";

const filtered: ReadonlySet<unknown> = new Set([
  "SAFETY",
  "RECITATION",
  "BLOCKLIST",
  "PROHIBITED_CONTENT",
  "SPII",
  "IMAGE_SAFETY",
  "IMAGE_PROHIBITED_CONTENT",
  "IMAGE_RECITATION",
]);

/** Undefined for the reasons that are failures of the model (OTHER, MALFORMED_FUNCTION_CALL …), which are no answers. */
export function geminiStopIn(reason: unknown): StopReason | undefined {
  if (reason === "STOP") return "end";
  if (reason === "MAX_TOKENS") return "max_tokens";
  return filtered.has(reason) ? "content_filter" : undefined;
}

export function geminiStopOut(stop: StopReason): string {
  switch (stop) {
    case "end":
    case "stop_sequence":
    case "tool_calls":
      return "STOP";
    case "max_tokens":
    case "context_window":
    case "pause":
      return "MAX_TOKENS";
    case "refusal":
    case "content_filter":
      return "SAFETY";
  }
}
