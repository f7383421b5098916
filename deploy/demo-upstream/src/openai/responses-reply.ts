import { createHash, randomUUID } from "node:crypto";
import type { Choice, ToolCall } from "../generate.ts";
import type { Usage } from "../usage.ts";
import type { ResponsesBody } from "./responses-request.ts";

/** The response object, as the plain answer and inside the events of a stream. */

type Json = Readonly<Record<string, unknown>>;

const newId = (prefix: string): string => `${prefix}_${randomUUID().replaceAll("-", "")}`;

/** `cache_write_tokens` is required beside `cached_tokens` since 2026-08. */
export function responsesUsage(usage: Usage): Json {
  return {
    input_tokens: usage.prompt,
    input_tokens_details: { cached_tokens: usage.cacheRead, cache_write_tokens: 0 },
    output_tokens: usage.completion,
    output_tokens_details: { reasoning_tokens: usage.reasoning },
    total_tokens: usage.prompt + usage.completion,
  };
}

export function newResponse(body: ResponsesBody, model: string): Json {
  return {
    id: newId("resp"),
    object: "response",
    created_at: Math.floor(Date.now() / 1_000),
    status: "in_progress",
    background: false,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    model,
    output: [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    store: body.store ?? true,
    temperature: 1,
    text: body.text ?? { format: { type: "text" } },
    tool_choice: body.tool_choice ?? "auto",
    tools: body.tools ?? [],
    top_p: 1,
    truncation: "disabled",
    usage: null,
    user: null,
    metadata: {},
  };
}

/** The finished items of an answer, in order: reasoning, then the text or the calls. */
export function outputItems(choice: Choice): readonly Json[] {
  const items: Json[] = [];
  if (choice.reasoning !== "") {
    items.push({
      id: newId("rs"),
      type: "reasoning",
      summary: [{ type: "summary_text", text: choice.reasoning }],
      encrypted_content: createHash("sha256").update(choice.reasoning).digest("base64"),
    });
  }
  for (const call of choice.toolCalls) {
    items.push(callItem(call));
  }
  if (choice.toolCalls.length === 0 && choice.text !== "") {
    const part =
      choice.finish === "refusal"
        ? { type: "refusal", refusal: choice.text }
        : { type: "output_text", annotations: [], logprobs: [], text: choice.text };
    items.push({ id: newId("msg"), type: "message", status: "completed", role: "assistant", content: [part] });
  }
  return items;
}

function callItem({ id, name, namespace, argumentsJson, custom }: ToolCall): Json {
  const shared = {
    status: "completed",
    call_id: `call_${id}`,
    name,
    ...(namespace === undefined ? {} : { namespace }),
  };
  return custom === true
    ? { id: `ctc_${id}`, type: "custom_tool_call", ...shared, input: argumentsJson }
    : { id: `fc_${id}`, type: "function_call", ...shared, arguments: argumentsJson };
}

/** The response with its answer; undefined usage = none is reported. */
export function finishedResponse(base: Json, choice: Choice, output: readonly Json[], usage: Json | undefined): Json {
  const cut = choice.finish === "length";
  return {
    ...base,
    status: cut ? "incomplete" : "completed",
    incomplete_details: cut ? { reason: "max_output_tokens" } : null,
    output,
    ...(usage ? { usage } : {}),
  };
}
