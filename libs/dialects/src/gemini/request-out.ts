import type { JsonObject } from "../model/dialect.ts";
import { budgetFor, effortFor, isOff } from "../model/efforts.ts";
import { cannotSay, type ConversionContext } from "../model/fields.ts";
import { optional } from "../model/optional.ts";
import type { TextPart, Turn } from "../model/parts.ts";
import type { ConversationRequest, Effort, Reasoning, Tool } from "../model/request.ts";
import { customToolSchema } from "../model/tool-arguments.ts";
import { geminiThinking } from "../model/thinking.ts";
import { allowedTools, type ToolNames } from "../model/tool-names.ts";
import { contentsOut } from "./part-out.ts";

/** ai.google.dev/api/generate-content, GenerationConfig (2026-11). */
const stopSequencesMax = 5;

/** The steps of `thinkingLevel`. */
const geminiEfforts: readonly Effort[] = ["minimal", "low", "medium", "high"];

/** Model → gemini body; the model's name and the streaming are of the URL. Throws RefusedError. */
export function geminiRequestOut(
  context: ConversionContext,
  request: ConversationRequest,
  names: ToolNames,
): JsonObject {
  const { settings, paths } = request;
  if (settings.parallelToolCalls !== undefined) throw cannotSay(context, paths.parallelToolCalls);
  if ((settings.stop?.length ?? 0) > stopSequencesMax) throw cannotSay(context, paths.stop, "at most five sequences");
  if (settings.verbosity !== undefined) context.dropped.add("verbosity");
  const system = systemOut(context, request.turns);
  const turns = request.turns.filter(({ role }) => role !== "system");
  const tools = allowedTools(request, names);
  const generation = generationOut(context, request);
  return {
    ...optional("systemInstruction", system.length === 0 ? undefined : { parts: system }),
    contents: contentsOut(context, turns, names),
    ...optional("tools", tools.length === 0 ? undefined : toolsOut(context, tools, names)),
    ...optional("toolConfig", toolConfigOut(request, tools, names)),
    ...optional("generationConfig", Object.keys(generation).length === 0 ? undefined : generation),
  };
}

function systemOut(context: ConversionContext, turns: readonly Turn[]): JsonObject[] {
  const first = turns.findIndex(({ role }) => role !== "system");
  const later = first < 0 ? -1 : turns.findLastIndex(({ role }) => role === "system");
  if (later > first) context.dropped.add("system_position");
  const parts = turns.flatMap((turn): readonly TextPart[] => (turn.role === "system" ? turn.parts : []));
  if (parts.some(({ cache }) => cache !== undefined)) context.dropped.add("cache_control");
  return parts.map(({ text }) => ({ text }));
}

function toolsOut(context: ConversionContext, tools: readonly Tool[], names: ToolNames): JsonObject[] {
  const declarations = tools.map((tool) => {
    if (tool.strict !== undefined) context.dropped.add("strict_tool");
    if (tool.cache !== undefined) context.dropped.add("cache_control");
    return {
      name: names.flat(tool),
      ...optional("description", tool.description),
      parametersJsonSchema: tool.custom ? customToolSchema : tool.parameters,
    };
  });
  return [{ functionDeclarations: declarations }];
}

function toolConfigOut({ settings }: ConversationRequest, tools: readonly Tool[], names: ToolNames): unknown {
  const choice = settings.toolChoice;
  if (choice === undefined || tools.length === 0) return undefined;
  if (choice.mode === "named") {
    return { functionCallingConfig: { mode: "ANY", allowedFunctionNames: [names.flat(choice.tool)] } };
  }
  const modes = { auto: "AUTO", required: "ANY", none: "NONE" } as const;
  return { functionCallingConfig: { mode: modes[choice.mode] } };
}

function generationOut(context: ConversionContext, request: ConversationRequest): JsonObject {
  const { settings } = request;
  return {
    ...optional("temperature", settings.temperature),
    ...optional("topP", settings.topP),
    ...optional("topK", settings.topK),
    ...optional("maxOutputTokens", settings.maxOutputTokens),
    ...optional("candidateCount", settings.answers),
    ...optional("seed", settings.seed),
    ...optional("presencePenalty", settings.presencePenalty),
    ...optional("frequencyPenalty", settings.frequencyPenalty),
    ...optional("responseLogprobs", settings.logprobs),
    ...optional("logprobs", settings.topLogprobs),
    ...optional("stopSequences", settings.stop),
    ...optional("thinkingConfig", thinkingOut(context, request)),
    ...formatOut(context, settings.outputFormat),
  };
}

/** In the words that the model's generation knows; a name that says no generation is spoken to as before there were two. */
function thinkingOut(context: ConversionContext, { model, settings, paths }: ConversationRequest): unknown {
  const { reasoning } = settings;
  if (reasoning === undefined) return undefined;
  const shown = optional("includeThoughts", reasoning.shown);
  const off = isOff(reasoning);
  const thinking = geminiThinking(model);
  if (thinking?.says === "none") {
    if (!off && (reasoning.effort !== undefined || reasoning.budgetTokens !== undefined)) {
      throw cannotSay(context, paths.reasoning, "this model does not reason");
    }
    if (reasoning.shown !== undefined) context.dropped.add("reasoning_display");
    return undefined;
  }
  if (off && !canBeOff(thinking)) throw cannotSay(context, paths.reasoning, "this model always reasons");
  const isUnsaid = reasoning.effort === undefined && reasoning.budgetTokens === undefined;
  if (isUnsaid) return Object.keys(shown).length === 0 ? undefined : shown;
  if (thinking?.says === "level") return { thinkingLevel: levelOut(context, reasoning, thinking.levels), ...shown };
  if (off) return { thinkingBudget: 0, ...shown };
  if (thinking?.says === "budget")
    return { thinkingBudget: budgetFor(context, reasoning, "gemini", thinking), ...shown };
  if (reasoning.budgetTokens === undefined) {
    return { thinkingLevel: levelOut(context, reasoning, geminiEfforts), ...shown };
  }
  if (reasoning.effort !== undefined) context.dropped.add("reasoning_effort");
  return { thinkingBudget: reasoning.budgetTokens, ...shown };
}

function canBeOff(thinking: ReturnType<typeof geminiThinking>): boolean {
  if (thinking?.says === "level") return thinking.levels.includes("minimal");
  return thinking?.says !== "budget" || thinking.canBeOff;
}

function levelOut(context: ConversionContext, reasoning: Reasoning, levels: readonly Effort[]): string | undefined {
  // A level and a budget are never both taken.
  if (reasoning.effort !== undefined && reasoning.budgetTokens !== undefined) context.dropped.add("reasoning_effort");
  return effortFor(context, isOff(reasoning) ? { effort: "none" } : reasoning, levels)?.toUpperCase();
}

function formatOut(context: ConversionContext, format: ConversationRequest["settings"]["outputFormat"]): JsonObject {
  if (format === undefined) return {};
  if (format.type === "json_object") return { responseMimeType: "application/json" };
  if (format.name !== undefined || format.description !== undefined) context.dropped.add("description_of_format");
  if (format.strict !== undefined) context.dropped.add("strict_tool");
  return { responseMimeType: "application/json", responseJsonSchema: format.schema };
}
