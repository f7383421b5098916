import { schemaFormatIn } from "../chat/request-in.ts";
import { Fields, cannotSay, malformed, spotOf, unknownType, type ConversionContext } from "../model/fields.ts";
import { joinTurns, type Turn } from "../model/parts.ts";
import { efforts, type ConversationRequest, type Reasoning, type Tool } from "../model/request.ts";
import { SettingsDraft, outputTokensMax, samplingIn } from "../model/settings-in.ts";
import { itemIn } from "./item-in.ts";
import { toolChoiceIn, toolsIn } from "./tools-in.ts";

/** Responses body → model. Throws RefusedError. Unknown fields are refused by name, and so is all that needs a store. */
export function responsesRequestIn(context: ConversionContext, body: unknown): ConversationRequest {
  const fields = new Fields(context, spotOf(body, ""));
  const model = fields.needText("model");
  refuseState(context, fields);
  const tools = (fields.list("tools") ?? []).flatMap((spot) => toolsIn(context, spot));
  const turns = [...instructionsIn(fields), ...inputIn(context, fields, tools)];
  const draft = settingsIn(context, fields);
  const stream = fields.flag("stream") ?? false;
  fields.hint("service", "user", "safety_identifier", "metadata", "service_tier", "client_metadata");
  fields.hint("cache_control", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention");
  if (fields.flag("store") === true) context.dropped.add("store");
  const options = fields.fields("stream_options");
  options?.hint("stream_shape", "include_obfuscation");
  options?.done();
  fields.unsupported("access_programs", "moderation", "max_tool_calls", "context_management", "image");
  if (fields.oneOf("truncation", ["auto", "disabled"]) === "auto") throw cannotSay(context, fields.at("truncation"));
  fields.done();
  return {
    model,
    stream,
    streamUsage: true,
    turns: joinTurns(turns),
    tools,
    settings: draft.settings,
    paths: draft.paths,
  };
}

function refuseState(context: ConversionContext, fields: Fields): void {
  for (const name of ["previous_response_id", "conversation", "prompt"]) {
    if (fields.value(name) !== undefined) {
      throw cannotSay(context, fields.at(name), "no content is stored here; send the whole conversation in 'input'");
    }
  }
  if (fields.flag("background") === true) {
    throw cannotSay(context, fields.at("background"), "no content is stored here; stream the answer");
  }
}

function instructionsIn(fields: Fields): Turn[] {
  const text = fields.text("instructions");
  if (text === undefined || text === "") return [];
  const at = fields.at("instructions");
  return [{ role: "system", authority: "system", parts: [{ type: "text", text, at }], at }];
}

function inputIn(context: ConversionContext, fields: Fields, tools: Tool[]): Turn[] {
  const spot = fields.need("input", fields.spot("input"));
  if (typeof spot.value === "string") {
    return [{ role: "user", parts: [{ type: "text", text: spot.value, at: spot.path }], at: spot.path }];
  }
  if (!Array.isArray(spot.value)) throw malformed("invalid", spot.path, "a string or an array of items");
  return (fields.list("input") ?? []).flatMap((item): Turn[] => {
    const inner = new Fields(context, item);
    if (inner.value("type") !== "additional_tools") return [itemIn(context, item)];
    // Codex declares all its tools so for the models that it knows.
    context.dropped.add("tool_loading");
    tools.push(...inner.need("tools", inner.list("tools")).flatMap((tool) => toolsIn(context, tool)));
    return [];
  });
}

function settingsIn(context: ConversionContext, fields: Fields): SettingsDraft {
  const draft = new SettingsDraft();
  samplingIn(draft, fields, { temperature: "temperature", topP: "top_p" });
  const bound = fields.integer("max_output_tokens", 1, outputTokensMax);
  draft.set("maxOutputTokens", fields.at("max_output_tokens"), bound);
  if (fields.flag("parallel_tool_calls") === false) {
    draft.set("parallelToolCalls", fields.at("parallel_tool_calls"), false);
  }
  draft.set("toolChoice", fields.at("tool_choice"), toolChoiceIn(context, fields));
  logprobsIn(context, draft, fields);
  reasoningIn(context, draft, fields);
  textIn(draft, fields);
  return draft;
}

/** Sealed reasoning is asked for and given in any case; the other details are of built-in tools. */
function logprobsIn(context: ConversionContext, draft: SettingsDraft, fields: Fields): void {
  const include = fields.list("include") ?? [];
  for (const { value, path } of include) {
    if (value === "message.output_text.logprobs") draft.set("logprobs", path, true);
    else if (value !== "reasoning.encrypted_content") context.dropped.add("stream_shape");
  }
  const top = fields.integer("top_logprobs", 0, 20);
  draft.set("topLogprobs", fields.at("top_logprobs"), top, 0);
  if (top !== undefined && top > 0) draft.set("logprobs", fields.at("top_logprobs"), true);
}

function reasoningIn(context: ConversionContext, draft: SettingsDraft, fields: Fields): void {
  const reasoning = fields.fields("reasoning");
  if (reasoning === undefined) return;
  const effort = reasoning.oneOf("effort", efforts);
  const summary = reasoning.oneOf("summary", ["auto", "concise", "detailed"]);
  const older = reasoning.oneOf("generate_summary", ["auto", "concise", "detailed"]);
  reasoning.hint("reasoning_display", "context");
  if ((reasoning.text("mode") ?? "standard") !== "standard") throw cannotSay(context, reasoning.at("mode"));
  reasoning.done();
  const value: Reasoning = {
    ...(effort === undefined ? {} : { effort }),
    ...((summary ?? older) === undefined ? {} : { shown: true }),
  };
  if (Object.keys(value).length > 0) draft.set("reasoning", reasoning.path, value);
}

function textIn(draft: SettingsDraft, fields: Fields): void {
  const text = fields.fields("text");
  if (text === undefined) return;
  const verbosity = text.oneOf("verbosity", ["low", "medium", "high"]);
  if (verbosity !== "medium") draft.set("verbosity", text.at("verbosity"), verbosity);
  const format = text.fields("format");
  text.done();
  if (format === undefined) return;
  const type = format.needText("type");
  if (type === "json_object") draft.set("outputFormat", format.path, { type });
  else if (type === "json_schema") draft.set("outputFormat", format.path, schemaFormatIn(format, format.text("name")));
  else if (type !== "text") throw unknownType(spotOf(undefined, format.path), type);
  format.done();
}
