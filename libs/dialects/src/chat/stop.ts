import type { StopReason } from "../model/answer.ts";

/** `finish_reason` → model. `function_call` is of the functions that tools replaced. Undefined: none that we know. */
export function chatStopIn(reason: unknown): StopReason | undefined {
  switch (reason) {
    case "stop":
      return "end";
    case "length":
      return "max_tokens";
    case "tool_calls":
      return "tool_calls";
    case "content_filter":
      return "content_filter";
    default:
      return undefined;
  }
}

/**
 * A refusal in words ends with `stop`, as OpenAI's own do; without words only `content_filter` can say it. A pause is an
 * answer that is not whole: `length`.
 */
export function chatStopOut(stop: StopReason, inWords: boolean): string {
  switch (stop) {
    case "end":
    case "stop_sequence":
      return "stop";
    case "max_tokens":
    case "context_window":
    case "pause":
      return "length";
    case "tool_calls":
      return "tool_calls";
    case "refusal":
      return inWords ? "stop" : "content_filter";
    case "content_filter":
      return "content_filter";
  }
}
