import { formatName, isCustom } from "../chat/request-out.ts";
import type { JsonObject } from "../model/dialect.ts";
import { effortFor } from "../model/efforts.ts";
import { cannotSay, type ConversionContext } from "../model/fields.ts";
import { optional } from "../model/optional.ts";
import { efforts, type ConversationRequest, type OutputFormat, type Tool, type ToolName } from "../model/request.ts";
import { turnsOut } from "./item-out.ts";

/** OpenAI refuses a smaller bound here, unlike in chat (platform.openai.com, responses create, 2026-11). */
const outputTokensMin = 16;

const sealedReasoning = "reasoning.encrypted_content";

/** Model → responses body. Throws RefusedError. Nothing is ever stored at the provider. */
export function responsesRequestOut(context: ConversionContext, request: ConversationRequest): JsonObject {
  const { settings, paths } = request;
  const unknown = ["topK", "seed", "frequencyPenalty", "presencePenalty", "answers", "stop"] as const;
  for (const name of unknown) if (settings[name] !== undefined) throw cannotSay(context, paths[name]);
  if ((settings.maxOutputTokens ?? outputTokensMin) < outputTokensMin) {
    throw cannotSay(context, paths.maxOutputTokens, `an answer may have ${String(outputTokensMin)} tokens at least`);
  }
  const [first, ...rest] = request.turns;
  const lead = first?.role === "system" && first.authority === "system" ? first : undefined;
  if (lead?.parts.some(({ cache }) => cache !== undefined) === true) context.dropped.add("cache_control");
  const instructions = lead?.parts.map(({ text }) => text).join("\n\n");
  const { reasoning, outputFormat, verbosity } = settings;
  const sealed = reasoning !== undefined || hasSeals(request);
  const include = [
    ...(sealed ? [sealedReasoning] : []),
    ...(settings.logprobs === true ? ["message.output_text.logprobs"] : []),
  ];
  const text = { ...optional("format", outputFormat && formatOut(outputFormat)), ...optional("verbosity", verbosity) };
  return {
    model: request.model,
    ...optional("instructions", instructions),
    input: turnsOut(context, lead === undefined ? request.turns : rest),
    store: false,
    ...(request.stream ? { stream: true } : {}),
    ...optional("max_output_tokens", settings.maxOutputTokens),
    ...optional("temperature", settings.temperature),
    ...optional("top_p", settings.topP),
    ...optional("top_logprobs", settings.topLogprobs),
    ...optional("parallel_tool_calls", settings.parallelToolCalls),
    ...optional("reasoning", reasoning && reasoningOut(context, request)),
    ...optional("include", include.length === 0 ? undefined : include),
    ...optional("text", Object.keys(text).length === 0 ? undefined : text),
    ...optional("tools", request.tools.length === 0 ? undefined : toolsOut(context, request.tools)),
    ...optional("tool_choice", toolChoiceOut(request)),
  };
}

function hasSeals({ turns }: ConversationRequest): boolean {
  return turns.some((turn) => turn.role === "assistant" && turn.parts.some((part) => part.type === "reasoning"));
}

function reasoningOut(context: ConversionContext, { settings }: ConversationRequest): JsonObject | undefined {
  const { reasoning } = settings;
  if (reasoning === undefined) return undefined;
  const out = {
    ...optional("effort", effortFor(context, reasoning, efforts)),
    // What is shown of reasoning is a summary here; a client that did not forbid it gets one, as elsewhere.
    ...(reasoning.shown === false || reasoning.effort === "none" ? {} : { summary: "auto" }),
  };
  return Object.keys(out).length === 0 ? undefined : out;
}

function toolsOut(context: ConversionContext, tools: readonly Tool[]): JsonObject[] {
  const out: JsonObject[] = [];
  const namespaces = new Map<string, JsonObject[]>();
  for (const tool of tools) {
    if (tool.cache !== undefined) context.dropped.add("cache_control");
    const { namespace } = tool;
    if (namespace === undefined) {
      out.push(toolOut(tool));
      continue;
    }
    const members = namespaces.get(namespace) ?? [];
    if (!namespaces.has(namespace)) {
      namespaces.set(namespace, members);
      out.push({ type: "namespace", name: namespace, description: namespace, tools: members });
    }
    members.push(toolOut(tool));
  }
  return out;
}

function toolOut(tool: Tool): JsonObject {
  const common = { name: tool.name, ...optional("description", tool.description) };
  if (tool.custom) return { type: "custom", ...common };
  // OpenAI would take an absent `strict` for true here, unlike in chat.
  return { type: "function", ...common, parameters: tool.parameters, strict: tool.strict ?? false };
}

function toolChoiceOut(request: ConversationRequest): unknown {
  const choice = request.settings.toolChoice;
  if (choice === undefined) return undefined;
  const reference = (tool: ToolName): JsonObject => ({
    type: isCustom(request.tools, tool) ? "custom" : "function",
    name: tool.name,
    ...optional("namespace", tool.namespace),
  });
  if (choice.mode === "named") return reference(choice.tool);
  if (choice.allowed === undefined) return choice.mode;
  return { type: "allowed_tools", mode: choice.mode, tools: choice.allowed.map(reference) };
}

function formatOut(format: OutputFormat): JsonObject {
  if (format.type === "json_object") return { type: "json_object" };
  return { ...format, name: format.name ?? formatName };
}
