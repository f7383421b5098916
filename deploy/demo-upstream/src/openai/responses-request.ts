import { z } from "zod";
import type { GenerationRequest, ToolChoice, ToolSpec } from "../generate.ts";
import type { Model } from "../models.ts";
import { openAiCacheSplit, type PromptItem } from "../usage.ts";

/** The body of `POST /v1/responses`: what the demo acts on is checked, everything else is let through. */

const part = z.looseObject({ type: z.string(), text: z.string().optional() });
const tool = z.looseObject({
  type: z.string(),
  name: z.string().optional(),
  parameters: z.unknown().optional(),
  /** Of a namespace. */
  tools: z.array(z.looseObject({ type: z.string(), name: z.string(), parameters: z.unknown().optional() })).optional(),
});
const item = z.looseObject({
  type: z.string().optional(),
  role: z.string().optional(),
  content: z.union([z.string(), z.array(part), z.null()]).optional(),
  output: z.union([z.string(), z.array(part)]).optional(),
  /** Of `additional_tools`: Codex sends its tools there for models that it knows. */
  tools: z.array(tool).max(512).optional(),
});
type Item = z.infer<typeof item>;

export const responsesBody = z.looseObject({
  model: z.string().min(1),
  input: z.union([z.string(), z.array(item).min(1)]),
  instructions: z.string().nullish(),
  stream: z.boolean().nullish(),
  store: z.boolean().nullish(),
  max_output_tokens: z.number().int().min(1).max(10_000_000).nullish(),
  tools: z.array(tool).max(512).nullish(),
  tool_choice: z
    .union([z.enum(["auto", "none", "required"]), z.looseObject({ type: z.string(), name: z.string().optional() })])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  reasoning: z.looseObject({ effort: z.string().nullish() }).nullish(),
  text: z.looseObject({ format: z.looseObject({ type: z.string(), schema: z.unknown() }).optional() }).nullish(),
});
export type ResponsesBody = z.infer<typeof responsesBody>;

function plain(content: Item["content"] | Item["output"]): string {
  if (typeof content === "string") return content;
  return (content ?? []).map((one) => one.text ?? "").join("\n");
}

const isMessage = ({ type, role }: Item): boolean => type === "message" || (type === undefined && role !== undefined);

/** A message's text is its content; any other item counts as JSON, whatever it is. */
function promptItem(one: Item): PromptItem {
  if (!isMessage(one)) return { role: one.type ?? "item", text: JSON.stringify(one), media: 0 };
  const media = Array.isArray(one.content) ? one.content.filter((each) => each.text === undefined).length : 0;
  return { role: one.role ?? "user", text: plain(one.content), media };
}

export function responsesItems(body: ResponsesBody): readonly PromptItem[] {
  const tools = (body.tools ?? []).map((one) => ({ role: "tool-definition", text: JSON.stringify(one), media: 0 }));
  const instructions = body.instructions ? [{ role: "system", text: body.instructions, media: 0 }] : [];
  const input =
    typeof body.input === "string" ? [{ role: "user", text: body.input, media: 0 }] : body.input.map(promptItem);
  return [...tools, ...instructions, ...input];
}

const effortRounds = new Map(Object.entries({ none: 0, minimal: 0, low: 1, medium: 2, high: 4, xhigh: 8 }));

export function toGeneration(body: ResponsesBody, model: Model): GenerationRequest {
  const items = responsesItems(body);
  const input = typeof body.input === "string" ? [] : body.input;
  const lastUser = input.findLast((one) => isMessage(one) && one.role === "user");
  const last = input.at(-1);
  const format = body.text?.format;
  return {
    model,
    items,
    cache: openAiCacheSplit(items),
    userText: typeof body.input === "string" ? body.input : plain(lastUser?.content),
    toolResult: last?.type?.endsWith("_call_output") === true ? plain(last.output) : undefined,
    choices: 1,
    outputTokensMax: body.max_output_tokens ?? undefined,
    stops: [],
    tools: [...(body.tools ?? []), ...input.flatMap((one) => one.tools ?? [])].flatMap(toolSpecs),
    toolChoice: toolChoice(body),
    parallelToolCalls: body.parallel_tool_calls ?? true,
    thinkingRounds: model.persona === "reasoning" ? (effortRounds.get(body.reasoning?.effort ?? "medium") ?? 2) : 0,
    jsonSchema: format?.type === "json_schema" ? { schema: format.schema } : undefined,
  };
}

function toolSpecs(one: z.infer<typeof tool>): ToolSpec[] {
  if (one.type !== "namespace") return toolSpec(one);
  return (one.tools ?? []).flatMap(toolSpec).map((spec) => ({ ...spec, ...(one.name ? { namespace: one.name } : {}) }));
}

/** Other kinds are run by the provider itself, and the demo has none. */
function toolSpec({ type, name, parameters }: Pick<z.infer<typeof tool>, "type" | "name" | "parameters">): ToolSpec[] {
  if (name === undefined) return [];
  if (type === "custom") return [{ name, parameters: undefined, custom: true }];
  return type === "function" ? [{ name, parameters }] : [];
}

function toolChoice({ tool_choice: choice }: ResponsesBody): ToolChoice {
  if (typeof choice === "string") return { kind: choice };
  return choice?.name === undefined ? { kind: "auto" } : { kind: "named", name: choice.name };
}
