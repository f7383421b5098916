import type { JsonObject } from "../model/dialect.ts";
import {
  Fields,
  cannotSay,
  malformed,
  spotOf,
  typeOf,
  unknownType,
  type ConversionContext,
  type Spot,
} from "../model/fields.ts";
import { cacheOf } from "../model/media.ts";
import { joinSealedTurns } from "../model/seal.ts";
import { efforts, type ConversationRequest, type Tool, type ToolChoice, type ToolName } from "../model/request.ts";
import { SettingsDraft, outputTokensMax, samplingIn } from "../model/settings-in.ts";
import { messageIn } from "./message-in.ts";

/** Chat body → model. Throws RefusedError. Unknown fields are refused by name. */
export function chatRequestIn(context: ConversionContext, body: unknown): ConversationRequest {
  const fields = new Fields(context, spotOf(body, ""));
  const model = fields.needText("model");
  const messages = fields.need("messages", fields.list("messages"));
  const draft = settingsIn(context, fields);
  const stream = fields.flag("stream") ?? false;
  const options = fields.fields("stream_options");
  const streamUsage = options?.flag("include_usage") ?? false;
  options?.hint("stream_shape", "include_obfuscation");
  options?.done();
  const tools = (fields.list("tools") ?? []).map((spot) => toolIn(context, spot));
  // Extensions that the gateway knows: each is of one family of servers.
  fields.unsupported(
    "min_p",
    "repetition_penalty",
    "thinking",
    "enable_thinking",
    "chat_template_kwargs",
    "safe_prompt",
  );
  fields.unsupported("audio", "function_call", "functions", "logit_bias", "moderation", "web_search_options");
  fields.hint("service", "user", "safety_identifier", "metadata", "service_tier");
  fields.hint("cache_control", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention");
  fields.hint("prediction", "prediction");
  if (fields.flag("store") === true) fields.hint("store", "store");
  for (const { value, path } of fields.list("modalities") ?? []) if (value !== "text") throw cannotSay(context, path);
  fields.done();
  const turns = joinSealedTurns(messages.map((spot) => messageIn(context, spot)));
  return { model, stream, streamUsage, turns, tools, settings: draft.settings, paths: draft.paths };
}

function settingsIn(context: ConversionContext, fields: Fields): SettingsDraft {
  const draft = new SettingsDraft();
  samplingIn(draft, fields, { temperature: "temperature", topP: "top_p" });
  const bound = fields.has("max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
  fields.value("max_tokens");
  draft.set("maxOutputTokens", fields.at(bound), fields.integer(bound, 1, outputTokensMax));
  draft.set("topK", fields.at("top_k"), fields.integer("top_k", 1, 1_000_000));
  draft.set("seed", fields.at("seed"), fields.integer("seed", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER));
  draft.set("frequencyPenalty", fields.at("frequency_penalty"), fields.number("frequency_penalty", -2, 2), 0);
  draft.set("presencePenalty", fields.at("presence_penalty"), fields.number("presence_penalty", -2, 2), 0);
  draft.set("answers", fields.at("n"), fields.integer("n", 1, 128), 1);
  draft.set("logprobs", fields.at("logprobs"), fields.flag("logprobs"), false);
  draft.set("topLogprobs", fields.at("top_logprobs"), fields.integer("top_logprobs", 0, 20), 0);
  const verbosity = fields.oneOf("verbosity", ["low", "medium", "high"]);
  if (verbosity !== "medium") draft.set("verbosity", fields.at("verbosity"), verbosity);
  if (fields.flag("parallel_tool_calls") === false) {
    draft.set("parallelToolCalls", fields.at("parallel_tool_calls"), false);
  }
  draft.set("stop", fields.at("stop"), stopIn(fields));
  draft.set("toolChoice", fields.at("tool_choice"), toolChoiceIn(context, fields));
  reasoningIn(draft, fields);
  formatIn(draft, fields);
  return draft;
}

function stopIn(fields: Fields): readonly string[] | undefined {
  const spot = fields.spot("stop");
  if (typeof spot?.value === "string") return [spot.value];
  const texts = fields.texts("stop");
  return texts === undefined || texts.length === 0 ? undefined : texts;
}

/** `reasoning` is OpenRouter's form of the same (openrouter.ai/docs, reasoning tokens, 2026). */
function reasoningIn(draft: SettingsDraft, fields: Fields): void {
  const effort = fields.oneOf("reasoning_effort", efforts);
  const extension = fields.fields("reasoning");
  if (effort !== undefined) draft.set("reasoning", fields.at("reasoning_effort"), { effort });
  if (extension === undefined) return;
  const named = extension.oneOf("effort", efforts);
  const budgetTokens = extension.integer("max_tokens", 0, outputTokensMax);
  const hidden = extension.flag("exclude");
  extension.done();
  draft.set("reasoning", extension.path, {
    ...(named === undefined ? (effort === undefined ? {} : { effort }) : { effort: named }),
    ...(budgetTokens === undefined ? {} : { budgetTokens }),
    ...(hidden === undefined ? {} : { shown: !hidden }),
  });
}

function formatIn(draft: SettingsDraft, fields: Fields): void {
  const format = fields.fields("response_format");
  if (format === undefined) return;
  const type = format.needText("type");
  if (type === "json_object") draft.set("outputFormat", format.path, { type: "json_object" });
  else if (type === "json_schema") {
    const schema = format.need("json_schema", format.fields("json_schema"));
    draft.set("outputFormat", format.path, schemaFormatIn(schema, schema.text("name")));
    schema.done();
  } else if (type !== "text") throw unknownType(spotOf(undefined, format.path), type);
  format.done();
}

/** The fields that chat nests under `json_schema` and responses does not. */
export function schemaFormatIn(
  fields: Fields,
  name: string | undefined,
): {
  type: "json_schema";
  name?: string;
  description?: string;
  schema: JsonObject;
  strict?: boolean;
} {
  const description = fields.text("description");
  const strict = fields.flag("strict");
  return {
    type: "json_schema",
    schema: fields.json("schema") ?? {},
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(strict === undefined ? {} : { strict }),
  };
}

const noParameters: JsonObject = { type: "object", properties: {} };

function toolIn(context: ConversionContext, spot: Spot): Tool {
  const type = typeOf(context, spot);
  if (type !== "function" && type !== "custom")
    throw cannotSay(context, spot.path, "built-in tools belong to one provider");
  const fields = new Fields(context, spot);
  fields.text("type");
  const cache = cacheOf(fields);
  const inner = fields.need(type, fields.fields(type));
  const tool = { ...functionIn(context, inner, type === "custom"), ...cache, at: spot.path };
  inner.done();
  fields.done();
  return tool;
}

/** The fields of a function or custom tool that chat nests and responses does not. */
export function functionIn(context: ConversionContext, fields: Fields, custom: boolean): Tool {
  const description = fields.text("description");
  const strict = custom ? undefined : fields.flag("strict");
  const format = custom ? fields.fields("format") : undefined;
  if (format !== undefined && format.needText("type") !== "text") {
    throw cannotSay(context, format.path, "a grammar cannot be enforced there");
  }
  return {
    name: fields.needText("name"),
    custom,
    parameters: custom ? noParameters : (fields.json("parameters") ?? noParameters),
    ...(description === undefined ? {} : { description }),
    ...(strict === undefined ? {} : { strict }),
  };
}

function toolChoiceIn(context: ConversionContext, fields: Fields): ToolChoice | undefined {
  const spot = fields.spot("tool_choice");
  if (spot === undefined) return undefined;
  if (typeof spot.value === "string") return { mode: modeIn(spot) };
  const type = typeOf(context, spot);
  const choice = new Fields(context, spot);
  choice.text("type");
  if (type === "function" || type === "custom") {
    const inner = choice.need(type, choice.fields(type));
    return { mode: "named", tool: { name: inner.needText("name") } };
  }
  if (type !== "allowed_tools") throw unknownType(spot, type);
  const inner = choice.need("allowed_tools", choice.fields("allowed_tools"));
  const allowed = inner.need("tools", inner.list("tools")).map((tool): ToolName => {
    const entry = new Fields(context, tool);
    const kind = entry.oneOf("type", ["function", "custom"]) ?? "function";
    return { name: entry.need(kind, entry.fields(kind)).needText("name") };
  });
  return { mode: inner.oneOf("mode", ["auto", "required"]) ?? "auto", allowed };
}

export function modeIn(spot: Spot): "auto" | "none" | "required" {
  const modes = ["auto", "none", "required"] as const;
  const mode = modes.find((word) => word === spot.value);
  if (mode === undefined) throw malformed("invalid", spot.path, "auto, none, required or an object");
  return mode;
}
