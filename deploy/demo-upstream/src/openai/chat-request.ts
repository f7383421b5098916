import { z } from "zod";
import type { GenerationRequest, ToolChoice, ToolSpec } from "../generate.ts";
import type { Model } from "../models.ts";
import { openAiCacheSplit, type PromptItem } from "../usage.ts";

/** The body of `POST /v1/chat/completions`: what the demo acts on is checked, everything else is let through. */

const part = z.looseObject({ type: z.string(), text: z.string().optional() });
const message = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool", "function"]),
  content: z.union([z.string(), z.array(part), z.null()]).optional(),
  tool_calls: z.array(z.looseObject({})).nullish(),
});
const tool = z.looseObject({
  type: z.string(),
  function: z.looseObject({ name: z.string().min(1), parameters: z.unknown() }).optional(),
});
const positive = z.number().int().min(1).max(10_000_000);

export const chatBody = z.looseObject({
  model: z.string().min(1),
  messages: z.array(message).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  n: z.number().int().min(1).max(128).nullish(),
  max_tokens: positive.nullish(),
  max_completion_tokens: positive.nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  tools: z.array(tool).max(128).nullish(),
  tool_choice: z
    .union([
      z.enum(["auto", "none", "required"]),
      z.looseObject({ function: z.looseObject({ name: z.string() }).optional() }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z
    .looseObject({ type: z.string(), json_schema: z.looseObject({ schema: z.unknown() }).optional() })
    .nullish(),
  reasoning_effort: z.string().nullish(),
  logprobs: z.boolean().nullish(),
});
export type ChatBody = z.infer<typeof chatBody>;
type Message = ChatBody["messages"][number];

function textOf({ content }: Message): string {
  if (typeof content === "string") return content;
  return (content ?? []).map((one) => one.text ?? "").join("\n");
}

/** A message's text for counting is its content and, as JSON, its tool calls. */
function itemOf(one: Message): PromptItem {
  const calls = one.tool_calls && one.tool_calls.length > 0 ? JSON.stringify(one.tool_calls) : "";
  const media = Array.isArray(one.content) ? one.content.filter((each) => each.text === undefined).length : 0;
  return { role: one.role, text: `${textOf(one)}${calls}`, media };
}

/** What is counted for the prompt: each message, then each tool definition as JSON. */
export function chatItems(body: ChatBody): readonly PromptItem[] {
  const tools = (body.tools ?? []).map((one) => ({ role: "tool-definition", text: JSON.stringify(one), media: 0 }));
  // Tools stand before the messages, because the last item is the one that a cached prefix never holds.
  return [...tools, ...body.messages.map(itemOf)];
}

const effortRounds = new Map(Object.entries({ none: 0, minimal: 0, low: 1, medium: 2, high: 4, xhigh: 8 }));

export function toGeneration(body: ChatBody, model: Model): GenerationRequest {
  const items = chatItems(body);
  const last = body.messages.at(-1);
  const lastUser = body.messages.findLast((one) => one.role === "user") ?? last;
  const effort = effortRounds.get(body.reasoning_effort ?? "medium") ?? 2;
  return {
    model,
    items,
    cache: openAiCacheSplit(items),
    userText: lastUser ? textOf(lastUser) : "",
    toolResult: last?.role === "tool" ? textOf(last) : undefined,
    choices: body.n ?? 1,
    outputTokensMax: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    stops: typeof body.stop === "string" ? [body.stop] : (body.stop ?? []),
    tools: (body.tools ?? []).flatMap(toolSpec),
    toolChoice: toolChoice(body),
    parallelToolCalls: body.parallel_tool_calls ?? true,
    thinkingRounds: model.persona === "reasoning" ? effort : 0,
    jsonSchema: jsonSchema(body),
  };
}

function toolSpec(one: NonNullable<ChatBody["tools"]>[number]): ToolSpec[] {
  return one.function ? [{ name: one.function.name, parameters: one.function.parameters }] : [];
}

function toolChoice({ tool_choice: choice }: ChatBody): ToolChoice {
  if (typeof choice === "string") return { kind: choice };
  return choice?.function ? { kind: "named", name: choice.function.name } : { kind: "auto" };
}

function jsonSchema({ response_format: format }: ChatBody): GenerationRequest["jsonSchema"] {
  if (format?.type === "json_schema") return { schema: format.json_schema?.schema };
  if (format?.type !== "json_object") return undefined;
  return { schema: { type: "object", properties: { demo: { const: true }, text: { type: "string" } } } };
}
