import { z } from "zod";
import type { GenerationRequest, ToolChoice } from "../generate.ts";
import type { Model } from "../models.ts";
import { anthropicCacheSplit, type CacheTtl, type PromptItem } from "../usage.ts";

/** The bodies of `POST /v1/messages` and `/v1/messages/count_tokens`; what the demo does not act on is let through. */

const cacheControl = z.looseObject({ type: z.string(), ttl: z.enum(["5m", "1h"]).optional() }).nullish();
const block = z.looseObject({ type: z.string(), text: z.string().optional(), cache_control: cacheControl });
const content = z.union([z.string(), z.array(block)]);
type Block = z.infer<typeof block>;
type Content = z.infer<typeof content>;

export const countBody = z.looseObject({
  model: z.string().min(1),
  // Claude Code sends messages with role "system" in the middle.
  messages: z.array(z.looseObject({ role: z.enum(["user", "assistant", "system"]), content })).min(1),
  system: content.optional(),
  tools: z
    .array(z.looseObject({ name: z.string().min(1), input_schema: z.unknown(), cache_control: cacheControl }))
    .max(512)
    .optional(),
  tool_choice: z
    .looseObject({
      type: z.enum(["auto", "any", "tool", "none"]),
      name: z.string().optional(),
      disable_parallel_tool_use: z.boolean().optional(),
    })
    .optional(),
  thinking: z.looseObject({ type: z.string(), budget_tokens: z.number().optional() }).nullish(),
});
export type CountBody = z.infer<typeof countBody>;

export const messageBody = countBody.extend({
  max_tokens: z.number().int().min(1).max(10_000_000),
  stop_sequences: z.array(z.string()).max(8_192).nullish(),
  stream: z.boolean().nullish(),
});
export type MessageBody = z.infer<typeof messageBody>;

const mediaTypes: ReadonlySet<string> = new Set(["image", "document", "file", "container_upload"]);

/** Text blocks as they are; calls, results and other structured blocks as JSON; media as nothing but their number. */
function blockText(one: Block): string {
  if (one.type === "text") return one.text ?? "";
  if (mediaTypes.has(one.type)) return "";
  return countedJson(one);
}

/** A cache marker is an instruction, not text. */
function countedJson(one: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(one).filter(([field]) => field !== "cache_control")));
}

function ttlOf(one: { readonly cache_control?: Block["cache_control"] }): CacheTtl | undefined {
  return one.cache_control ? (one.cache_control.ttl ?? "5m") : undefined;
}

function itemOf(role: string, value: Content): PromptItem {
  if (typeof value === "string") return { role, text: value, media: 0 };
  const cacheTtl = value.map(ttlOf).findLast((ttl) => ttl !== undefined);
  const media = value.filter((one) => mediaTypes.has(one.type)).length;
  return { role, text: value.map(blockText).join("\n"), media, ...(cacheTtl ? { cacheTtl } : {}) };
}

/** In the order Anthropic caches them: tools, system, messages. */
export function messageItems(body: CountBody): readonly PromptItem[] {
  const tools = (body.tools ?? []).map((tool): PromptItem => {
    const cacheTtl = ttlOf(tool);
    return { role: "tool-definition", text: countedJson(tool), media: 0, ...(cacheTtl ? { cacheTtl } : {}) };
  });
  const system = body.system === undefined ? [] : [itemOf("system", body.system)];
  return [...tools, ...system, ...body.messages.map((message) => itemOf(message.role, message.content))];
}

function plainText(value: Content): string {
  if (typeof value === "string") return value;
  return value.map((one) => (one.type === "text" ? (one.text ?? "") : "")).join("\n");
}

const isToolResult = (one: Block): boolean => one.type === "tool_result";

function toolResultOf(value: Content): string | undefined {
  if (typeof value === "string") return undefined;
  const result = value.findLast(isToolResult)?.["content"];
  if (result === undefined) return value.some(isToolResult) ? "" : undefined;
  const parsed = content.safeParse(result);
  return parsed.success ? plainText(parsed.data) : "";
}

export function toGeneration(body: MessageBody, model: Model): GenerationRequest {
  const items = messageItems(body);
  const isQuestion = (message: MessageBody["messages"][number]): boolean =>
    message.role === "user" && toolResultOf(message.content) === undefined;
  const question = body.messages.findLast(isQuestion);
  // Reminders of role "system" may come after a tool's result.
  const last = body.messages.findLast(({ role }) => role !== "system");
  const thinks = body.thinking !== undefined && body.thinking !== null && body.thinking.type !== "disabled";
  return {
    model,
    items,
    cache: anthropicCacheSplit(items),
    userText: question ? plainText(question.content) : "",
    toolResult: last ? toolResultOf(last.content) : undefined,
    choices: 1,
    outputTokensMax: body.max_tokens,
    stops: body.stop_sequences ?? [],
    tools: (body.tools ?? []).map((tool) => ({ name: tool.name, parameters: tool.input_schema })),
    toolChoice: toolChoice(body),
    parallelToolCalls: body.tool_choice?.disable_parallel_tool_use !== true,
    thinkingRounds: thinks ? 1 : 0,
    jsonSchema: undefined,
  };
}

function toolChoice({ tool_choice: choice }: MessageBody): ToolChoice {
  switch (choice?.type) {
    case "any":
      return { kind: "required" };
    case "none":
      return { kind: "none" };
    case "tool":
      return choice.name === undefined ? { kind: "required" } : { kind: "named", name: choice.name };
    default:
      return { kind: "auto" };
  }
}
