import { Fields, cannotSay, malformed, spotOf, type ConversionContext, type Spot } from "../model/fields.ts";
import type { Turn } from "../model/parts.ts";
import { joinSealedTurns } from "../model/seal.ts";
import type { ConversationRequest, Effort, Reasoning, Tool, ToolChoice } from "../model/request.ts";
import { SettingsDraft, outputTokensMax, samplingIn } from "../model/settings-in.ts";
import { camelCase } from "./camel-case.ts";
import { CallIds, modelPartsIn, userPartIn } from "./part-in.ts";
import { schemaIn } from "./schema-in.ts";

/** What a gemini request says in its URL. */
export interface GeminiTarget {
  readonly model: string;
  readonly stream: boolean;
}

/** Gemini body → model. Throws RefusedError. Unknown fields are refused by name. */
export function geminiRequestIn(context: ConversionContext, body: unknown, target: GeminiTarget): ConversationRequest {
  const fields = new Fields(context, spotOf(camelCase(body), ""));
  const ids = new CallIds("0");
  const contents = fields.need("contents", fields.list("contents"));
  const turns = [...systemIn(context, fields), ...contents.map((spot) => contentIn(context, spot, ids))];
  const tools = (fields.list("tools") ?? []).flatMap((spot) => toolsIn(context, spot));
  const draft = new SettingsDraft();
  toolConfigIn(context, draft, fields);
  generationIn(context, draft, fields);
  fields.hint("safety_settings", "safetySettings");
  fields.hint("service", "labels", "serviceTier");
  if (fields.flag("store") === true) context.dropped.add("store");
  if (fields.has("cachedContent")) throw cannotSay(context, fields.at("cachedContent"), "no content is stored here");
  fields.value("model");
  fields.done();
  return {
    ...target,
    streamUsage: true,
    turns: joinSealedTurns(turns),
    tools,
    settings: draft.settings,
    paths: draft.paths,
  };
}

function systemIn(context: ConversionContext, fields: Fields): Turn[] {
  const system = fields.fields("systemInstruction");
  if (system === undefined) return [];
  system.value("role");
  const parts = (system.list("parts") ?? []).map((spot) => {
    const part = new Fields(context, spot);
    const text = part.needText("text");
    part.done();
    return { type: "text", text, at: spot.path } as const;
  });
  system.done();
  return [{ role: "system", authority: "system", parts, at: system.path }];
}

function contentIn(context: ConversionContext, spot: Spot, ids: CallIds): Turn {
  const content = new Fields(context, spot);
  const role = content.oneOf("role", ["user", "model", "function"]) ?? "user";
  const parts = content.list("parts") ?? [];
  content.done();
  if (role === "model")
    return { role: "assistant", parts: modelPartsIn(context, parts, ids, "invalid"), at: spot.path };
  return { role: "user", parts: parts.map((part) => userPartIn(context, part, ids)), at: spot.path };
}

function toolsIn(context: ConversionContext, spot: Spot): Tool[] {
  const fields = new Fields(context, spot);
  const declarations = fields.list("functionDeclarations") ?? [];
  const builtIn = Object.keys(spot.value as object).find((name) => name !== "functionDeclarations");
  if (builtIn !== undefined) throw cannotSay(context, fields.at(builtIn), "built-in tools belong to one provider");
  return declarations.map((entry): Tool => {
    const tool = new Fields(context, entry);
    const description = tool.text("description");
    tool.hint("tool_loading", "response", "responseJsonSchema");
    if ((tool.text("behavior") ?? "BLOCKING") === "NON_BLOCKING") throw cannotSay(context, tool.at("behavior"));
    const openApi = tool.json("parameters");
    const parameters = tool.json("parametersJsonSchema") ?? (openApi && schemaIn(openApi, tool.at("parameters")));
    const name = tool.needText("name");
    tool.done();
    return {
      name,
      custom: false,
      parameters: parameters ?? { type: "object", properties: {} },
      ...(description === undefined ? {} : { description }),
      at: entry.path,
    };
  });
}

function toolConfigIn(context: ConversionContext, draft: SettingsDraft, fields: Fields): void {
  const config = fields.fields("toolConfig");
  const calling = config?.fields("functionCallingConfig");
  config?.unsupported("retrievalConfig", "includeServerSideToolInvocations");
  config?.done();
  if (calling === undefined) return;
  const mode = calling.oneOf("mode", ["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"]) ?? "AUTO";
  const allowed = calling.texts("allowedFunctionNames") ?? [];
  calling.hint("stream_shape", "streamFunctionCallArguments");
  calling.done();
  if (mode === "VALIDATED") throw cannotSay(context, calling.at("mode"));
  draft.set("toolChoice", calling.path, choiceOf(mode, allowed));
}

function choiceOf(mode: "MODE_UNSPECIFIED" | "AUTO" | "ANY" | "NONE", allowed: readonly string[]): ToolChoice {
  const [first] = allowed;
  if (mode === "ANY" && first !== undefined && allowed.length === 1) return { mode: "named", tool: { name: first } };
  const subset = first === undefined ? {} : { allowed: allowed.map((name) => ({ name })) };
  if (mode === "ANY") return { mode: "required", ...subset };
  return mode === "NONE" ? { mode: "none" } : { mode: "auto", ...subset };
}

function generationIn(context: ConversionContext, draft: SettingsDraft, fields: Fields): void {
  const config = fields.fields("generationConfig");
  if (config === undefined) return;
  samplingIn(draft, config, { temperature: "temperature", topP: "topP" });
  draft.set("topK", config.at("topK"), config.integer("topK", 1, 1_000_000));
  const bound = config.integer("maxOutputTokens", 1, outputTokensMax);
  draft.set("maxOutputTokens", config.at("maxOutputTokens"), bound);
  draft.set("answers", config.at("candidateCount"), config.integer("candidateCount", 1, 128), 1);
  draft.set("seed", config.at("seed"), config.integer("seed", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER));
  draft.set("presencePenalty", config.at("presencePenalty"), config.number("presencePenalty", -2, 2), 0);
  draft.set("frequencyPenalty", config.at("frequencyPenalty"), config.number("frequencyPenalty", -2, 2), 0);
  draft.set("logprobs", config.at("responseLogprobs"), config.flag("responseLogprobs"), false);
  draft.set("topLogprobs", config.at("logprobs"), config.integer("logprobs", 0, 20), 0);
  const stop = config.texts("stopSequences");
  if (stop !== undefined && stop.length > 0) draft.set("stop", config.at("stopSequences"), stop);
  for (const { value, path } of config.list("responseModalities") ?? []) {
    if (value !== "TEXT") throw cannotSay(context, path);
  }
  config.hint("media_resolution", "mediaResolution");
  thinkingIn(draft, config);
  formatIn(draft, config);
  config.unsupported("speechConfig", "imageConfig", "audioTimestamp", "enableEnhancedCivicAnswers", "routingConfig");
  config.done();
}

const levels: Readonly<Record<string, Effort>> = { MINIMAL: "minimal", LOW: "low", MEDIUM: "medium", HIGH: "high" };

function thinkingIn(draft: SettingsDraft, config: Fields): void {
  const thinking = config.fields("thinkingConfig");
  if (thinking === undefined) return;
  const level = thinking.text("thinkingLevel")?.toUpperCase() ?? "THINKING_LEVEL_UNSPECIFIED";
  const effort = Object.hasOwn(levels, level) ? levels[level] : undefined;
  if (effort === undefined && level !== "THINKING_LEVEL_UNSPECIFIED") {
    throw malformed("invalid", thinking.at("thinkingLevel"), `one of ${Object.keys(levels).join(", ")}`);
  }
  // -1 leaves it to the model, which is what an absent budget says.
  const budget = thinking.integer("thinkingBudget", -1, outputTokensMax);
  const shown = thinking.flag("includeThoughts");
  thinking.done();
  const reasoning: Reasoning = {
    ...(effort === undefined ? {} : { effort }),
    ...(budget === undefined || budget < 0 ? {} : { budgetTokens: budget }),
    ...(shown === undefined ? {} : { shown }),
  };
  if (Object.keys(reasoning).length > 0) draft.set("reasoning", thinking.path, reasoning);
}

function formatIn(draft: SettingsDraft, config: Fields): void {
  const type = config.text("responseMimeType") ?? "text/plain";
  const openApi = config.json("responseSchema");
  const schema = config.json("responseJsonSchema") ?? (openApi && schemaIn(openApi, config.at("responseSchema")));
  if (type !== "text/plain" && type !== "application/json") {
    throw malformed("invalid", config.at("responseMimeType"), "text/plain or application/json");
  }
  if (schema !== undefined) draft.set("outputFormat", config.at("responseSchema"), { type: "json_schema", schema });
  else if (type === "application/json")
    draft.set("outputFormat", config.at("responseMimeType"), { type: "json_object" });
}
