import type { JsonObject } from "../model/dialect.ts";
import { effortFor } from "../model/efforts.ts";
import { cannotSay, type ConversionContext } from "../model/fields.ts";
import { cacheControl } from "../model/media.ts";
import { efforts, type ConversationRequest, type OutputFormat, type Tool, type ToolName } from "../model/request.ts";
import type { ToolNames } from "../model/tool-names.ts";
import { optional } from "../model/optional.ts";
import { turnsOut } from "./message-out.ts";

export interface ChatTarget {
  /**
   * Whether the provider knows the common extensions: `reasoning_details`, `cache_control`, `top_k` (OpenRouter, LiteLLM
   * and the like). OpenAI itself does not.
   */
  readonly extensions: boolean;
}

/** OpenAI allows four (platform.openai.com, chat create, 2026-11). */
const stopSequencesMax = 4;

/** Model → chat body. Throws RefusedError. */
export function chatRequestOut(
  context: ConversionContext,
  request: ConversationRequest,
  names: ToolNames,
  target: ChatTarget,
): JsonObject {
  const { settings, paths } = request;
  if (settings.topK !== undefined && !target.extensions) throw cannotSay(context, paths.topK);
  if ((settings.stop?.length ?? 0) > stopSequencesMax) throw cannotSay(context, paths.stop, "at most four sequences");
  const reasoning = settings.reasoning;
  if (reasoning?.shown !== undefined) context.dropped.add("reasoning_display");
  return {
    model: request.model,
    messages: turnsOut(context, request.turns, names, target),
    ...(request.stream ? { stream: true, stream_options: { include_usage: true } } : {}),
    ...optional("max_completion_tokens", settings.maxOutputTokens),
    ...optional("temperature", settings.temperature),
    ...optional("top_p", settings.topP),
    ...optional("top_k", settings.topK),
    ...optional("seed", settings.seed),
    ...optional("frequency_penalty", settings.frequencyPenalty),
    ...optional("presence_penalty", settings.presencePenalty),
    ...optional("n", settings.answers),
    ...optional("logprobs", settings.logprobs),
    ...optional("top_logprobs", settings.topLogprobs),
    ...optional("verbosity", settings.verbosity),
    ...optional("stop", settings.stop),
    ...optional("parallel_tool_calls", settings.parallelToolCalls),
    ...optional("reasoning_effort", reasoning && effortFor(context, reasoning, efforts)),
    ...optional("response_format", settings.outputFormat && formatOut(settings.outputFormat)),
    ...optional("tools", request.tools.length === 0 ? undefined : toolsOut(context, request.tools, names, target)),
    ...optional("tool_choice", toolChoiceOut(request, names)),
  };
}

function toolsOut(
  context: ConversionContext,
  tools: readonly Tool[],
  names: ToolNames,
  target: ChatTarget,
): readonly JsonObject[] {
  return tools.map((tool) => {
    const common = { name: names.flat(tool), ...optional("description", tool.description) };
    const cache = target.extensions ? cacheControl(tool) : {};
    if (tool.cache !== undefined && !target.extensions) context.dropped.add("cache_control");
    if (tool.custom) return { type: "custom", custom: common, ...cache };
    const strict = optional("strict", tool.strict);
    return { type: "function", function: { ...common, parameters: tool.parameters, ...strict }, ...cache };
  });
}

function toolChoiceOut(request: ConversationRequest, names: ToolNames): unknown {
  const choice = request.settings.toolChoice;
  if (choice === undefined) return undefined;
  const reference = (tool: ToolName): JsonObject => {
    const type = isCustom(request.tools, tool) ? "custom" : "function";
    return { type, [type]: { name: names.flat(tool) } };
  };
  if (choice.mode === "named") return reference(choice.tool);
  if (choice.allowed === undefined) return choice.mode;
  return { type: "allowed_tools", allowed_tools: { mode: choice.mode, tools: choice.allowed.map(reference) } };
}

export function isCustom(tools: readonly Tool[], { name, namespace }: ToolName): boolean {
  return tools.some((tool) => tool.custom && tool.name === name && tool.namespace === namespace);
}

/** OpenAI requires a name (letters, digits, `_`, `-`). */
export const formatName = "answer";

function formatOut(format: OutputFormat): JsonObject {
  if (format.type === "json_object") return { type: "json_object" };
  const { type, name, ...rest } = format;
  return { type, json_schema: { name: name ?? formatName, ...rest } };
}
