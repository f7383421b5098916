import { stopOf, type StopReason } from "../model/answer.ts";
import type { JsonObject } from "../model/dialect.ts";
import type { OutputContext } from "../model/events.ts";
import { objectOr } from "../model/parse-data.ts";
import type { AssistantPart } from "../model/parts.ts";
import type { Usage } from "../model/usage.ts";
import { responsesUsageOut } from "./usage.ts";

/** Status and reason of a response → model; undefined for one that did not end, or failed. */
export function responsesStopIn(response: JsonObject, parts: readonly AssistantPart[]): StopReason | undefined {
  if (response["status"] === "completed") return stopOf(parts, "end");
  if (response["status"] !== "incomplete") return undefined;
  const reason = objectOr(response["incomplete_details"])["reason"];
  if (reason === "max_output_tokens") return "max_tokens";
  return reason === "content_filter" ? "content_filter" : undefined;
}

/** A refusal in words is a completed response; without words only the filter's reason can say it. */
export function responsesStopOut(
  stop: StopReason,
  inWords: boolean,
): { status: "completed" | "incomplete"; incomplete_details: JsonObject | null } {
  switch (stop) {
    case "end":
    case "stop_sequence":
    case "tool_calls":
      return { status: "completed", incomplete_details: null };
    case "max_tokens":
    case "context_window":
    case "pause":
      return { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
    case "refusal":
      return inWords
        ? { status: "completed", incomplete_details: null }
        : { status: "incomplete", incomplete_details: { reason: "content_filter" } };
    case "content_filter":
      return { status: "incomplete", incomplete_details: { reason: "content_filter" } };
  }
}

/** A response with every field that the official type requires; what echoes the request has its default. */
export function responseObject(
  output: OutputContext,
  id: string,
  more: {
    readonly status: "in_progress" | "completed" | "incomplete" | "failed";
    readonly incomplete_details?: JsonObject | null;
    readonly error?: JsonObject;
    readonly items: readonly JsonObject[];
    readonly usage?: Usage | undefined;
  },
): JsonObject {
  const { usage } = more;
  return {
    id: id === "" ? output.answerId : id,
    object: "response",
    created_at: output.createdAt,
    status: more.status,
    background: false,
    error: more.error ?? null,
    incomplete_details: more.incomplete_details ?? null,
    instructions: null,
    max_output_tokens: null,
    metadata: {},
    model: output.model,
    output: more.items,
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    service_tier: "default",
    store: false,
    temperature: null,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_p: null,
    truncation: "disabled",
    usage: usage === undefined ? null : { ...responsesUsageOut(usage), ...output.usageExtras?.(usage) },
    user: null,
  };
}

const prefixes = { message: "msg", reasoning: "rs", function_call: "fc", custom_tool_call: "ctc" } as const;

/** Ids of items, unique within the response. */
export function itemId(output: OutputContext, type: keyof typeof prefixes, index: number): string {
  return `${prefixes[type]}_${output.answerId}_${String(index)}`;
}
