import { optional } from "../model/optional.ts";
import type { JsonObject } from "../model/dialect.ts";
import { cannotSay, type ConversionContext } from "../model/fields.ts";
import { cacheControl } from "../model/media.ts";
import { RefusedError } from "../model/refusal.ts";
import type { ConversationRequest, Tool, ToolChoice } from "../model/request.ts";
import { customToolSchema } from "../model/tool-arguments.ts";
import { allowedTools, type ToolNames } from "../model/tool-names.ts";
import { systemBlocks, turnOut } from "./block-out.ts";
import { samplingOut, thinkingOut } from "./thinking-out.ts";

/** Model → messages body. Throws RefusedError. */
export function messagesRequestOut(
  context: ConversionContext,
  request: ConversationRequest,
  names: ToolNames,
): JsonObject {
  const { settings, paths } = request;
  refuseOthers(context, request);
  if (settings.maxOutputTokens === undefined) {
    throw new RefusedError(
      "invalid",
      "max_tokens",
      "This model's provider needs a bound of the answer: set 'max_tokens'.",
    );
  }
  if ((settings.temperature ?? 0) > 1) throw cannotSay(context, paths.temperature, "temperatures go from 0 to 1");
  const lead = request.turns.findIndex(({ role }) => role !== "system");
  const system = request.turns.slice(0, lead < 0 ? undefined : lead).filter((turn) => turn.role === "system");
  const rest = lead < 0 ? [] : request.turns.slice(lead);
  const tools = allowedTools(request, names);
  return {
    model: request.model,
    max_tokens: settings.maxOutputTokens,
    ...optional("system", system.length === 0 ? undefined : systemBlocks(system.flatMap(({ parts }) => parts))),
    messages: rest.flatMap((turn) => turnOut(context, turn, names)),
    ...(request.stream ? { stream: true } : {}),
    ...samplingOut(context, request),
    ...optional("stop_sequences", settings.stop),
    ...optional("tools", tools.length === 0 ? undefined : tools.map((tool) => toolOut(tool, names))),
    ...optional("tool_choice", toolChoiceOut(settings.toolChoice, settings.parallelToolCalls, tools, names)),
    ...reasoningOut(context, request, settings.maxOutputTokens),
  };
}

function refuseOthers(context: ConversionContext, { settings, paths }: ConversationRequest): void {
  const unknown = ["seed", "frequencyPenalty", "presencePenalty", "answers", "logprobs", "topLogprobs"] as const;
  for (const name of unknown) if (settings[name] !== undefined) throw cannotSay(context, paths[name]);
  if (settings.outputFormat?.type === "json_object") {
    throw cannotSay(context, paths.outputFormat, "send a JSON schema in its place");
  }
  if (settings.verbosity !== undefined) context.dropped.add("verbosity");
}

function toolOut(tool: Tool, names: ToolNames): JsonObject {
  return {
    name: names.flat(tool),
    ...optional("description", tool.description),
    input_schema: tool.custom ? customToolSchema : objectSchema(tool.parameters),
    ...optional("strict", tool.strict),
    ...cacheControl(tool),
  };
}

/** Messages wants the type said; OpenAI takes `{}` for a function without parameters. */
function objectSchema(schema: JsonObject): JsonObject {
  return schema["type"] === undefined ? { type: "object", ...schema } : schema;
}

function toolChoiceOut(
  choice: ToolChoice | undefined,
  parallel: false | undefined,
  tools: readonly Tool[],
  names: ToolNames,
): JsonObject | undefined {
  if (tools.length === 0 || (choice === undefined && parallel === undefined)) return undefined;
  const serial = parallel === false ? { disable_parallel_tool_use: true } : {};
  if (choice === undefined) return { type: "auto", ...serial };
  if (choice.mode === "named") return { type: "tool", name: names.flat(choice.tool), ...serial };
  if (choice.mode === "none") return { type: "none" };
  return { type: choice.mode === "required" ? "any" : "auto", ...serial };
}

function reasoningOut(context: ConversionContext, request: ConversationRequest, maxTokens: number): JsonObject {
  const { outputFormat } = request.settings;
  if (outputFormat?.type === "json_schema") {
    if (outputFormat.name !== undefined || outputFormat.description !== undefined) {
      context.dropped.add("description_of_format");
    }
    if (outputFormat.strict !== undefined) context.dropped.add("strict_tool");
  }
  const { thinking, effort } = thinkingOut(context, request, maxTokens);
  const config = {
    ...optional("effort", effort),
    ...(outputFormat?.type === "json_schema" ? { format: { type: "json_schema", schema: outputFormat.schema } } : {}),
  };
  return {
    ...optional("thinking", thinking),
    ...optional("output_config", Object.keys(config).length === 0 ? undefined : config),
  };
}
