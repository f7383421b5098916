import { Fields, cannotSay, spotOf, unknownType, type ConversionContext, type Spot } from "../model/fields.ts";
import { joinTurns, type Turn } from "../model/parts.ts";
import { efforts, type ConversationRequest, type Effort, type Reasoning, type ToolChoice } from "../model/request.ts";
import { SettingsDraft, outputTokensMax } from "../model/settings-in.ts";
import { assistantBlockIn, blocksIn, textBlockIn, userBlockIn } from "./block-in.ts";
import { ToolList } from "./tools-in.ts";

/** Messages body → model. Throws RefusedError. Unknown fields are refused by name. */
export function messagesRequestIn(context: ConversionContext, body: unknown): ConversationRequest {
  const fields = new Fields(context, spotOf(body, ""));
  const model = fields.needText("model");
  const messages = fields.need("messages", fields.list("messages"));
  const tools = new ToolList(context, fields.list("tools") ?? []);
  const draft = settingsIn(context, fields);
  const turns = [...systemIn(context, fields), ...messages.map((spot) => messageIn(context, spot, tools, draft))];
  fields.hint("service", "metadata", "service_tier", "speed", "diagnostics", "billing_policy", "betas");
  fields.hint("cache_control", "cache_control");
  fields.unsupported("container", "inference_geo", "compaction", "fallbacks", "fallback_credit_token", "thread");
  fields.unsupported("user_profile_id", "workspace_id");
  if ((fields.list("mcp_servers")?.length ?? 0) > 0) throw cannotSay(context, fields.at("mcp_servers"));
  contextManagementIn(context, fields);
  const stream = fields.flag("stream") ?? false;
  fields.done();
  return {
    model,
    stream,
    streamUsage: true,
    turns: joinTurns(turns),
    tools: tools.atTheEnd(),
    settings: draft.settings,
    paths: draft.paths,
  };
}

function systemIn(context: ConversionContext, fields: Fields): Turn[] {
  const spot = fields.spot("system");
  if (spot === undefined) return [];
  const parts =
    typeof spot.value === "string"
      ? [{ type: "text", text: spot.value, at: spot.path } as const]
      : (fields.list("system") ?? []).map((block) => textBlockIn(context, block));
  return [{ role: "system", authority: "system", parts, at: spot.path }];
}

function messageIn(context: ConversionContext, spot: Spot, tools: ToolList, draft: SettingsDraft): Turn {
  const fields = new Fields(context, spot);
  const role = fields.need("role", fields.oneOf("role", ["user", "assistant", "system"]));
  if (role === "user") {
    const parts = blocksIn(fields, (block) => userBlockIn(context, block));
    fields.done();
    return { role, parts, at: spot.path };
  }
  if (role === "assistant") {
    const parts = blocksIn(fields, (block) => assistantBlockIn(context, block, "invalid"));
    fields.done();
    return { role, parts, at: spot.path };
  }
  return systemMessageIn(context, fields, tools, draft);
}

/** A system message between others, as Claude Code sends it: text, changes of the tools, a new effort from here on. */
function systemMessageIn(context: ConversionContext, fields: Fields, tools: ToolList, draft: SettingsDraft): Turn {
  const blocks = blocksIn(fields, (block) => (tools.change(block) ? [] : [textBlockIn(context, block)]));
  if (fields.oneOf("clear_at", ["next_user_message", "never"]) === "next_user_message") {
    throw cannotSay(context, fields.at("clear_at"));
  }
  const effort = fields.fields("output_config")?.oneOf("effort", efforts);
  if (effort !== undefined) {
    draft.set("reasoning", fields.at("output_config"), { ...draft.settings.reasoning, effort });
  }
  fields.done();
  return { role: "system", authority: "system", parts: blocks.flat(), at: fields.path };
}

function settingsIn(context: ConversionContext, fields: Fields): SettingsDraft {
  const draft = new SettingsDraft();
  draft.set("maxOutputTokens", fields.at("max_tokens"), fields.integer("max_tokens", 1, outputTokensMax));
  draft.set("temperature", fields.at("temperature"), fields.number("temperature", 0, 1));
  draft.set("topP", fields.at("top_p"), fields.number("top_p", 0, 1));
  draft.set("topK", fields.at("top_k"), fields.integer("top_k", 0, 1_000_000));
  const stop = fields.texts("stop_sequences");
  if (stop !== undefined && stop.length > 0) draft.set("stop", fields.at("stop_sequences"), stop);
  toolChoiceIn(draft, fields);
  const output = fields.fields("output_config");
  const effort = output?.oneOf("effort", efforts);
  output?.unsupported("task_budget");
  reasoningIn(context, draft, fields, effort);
  // `output_format` is the older place of `output_config.format`.
  const format = output?.fields("format") ?? fields.fields("output_format");
  fields.value("output_format");
  output?.done();
  if (format !== undefined) {
    const type = format.needText("type");
    if (type !== "json_schema") throw unknownType(spotOf(undefined, format.path), type);
    draft.set("outputFormat", format.path, { type, schema: format.need("schema", format.json("schema")) });
  }
  return draft;
}

function reasoningIn(
  context: ConversionContext,
  draft: SettingsDraft,
  fields: Fields,
  effort: Effort | undefined,
): void {
  const named: Reasoning = effort === undefined ? {} : { effort };
  const thinking = fields.fields("thinking");
  if (thinking === undefined) {
    if (effort !== undefined) draft.set("reasoning", fields.at("output_config"), named);
    return;
  }
  const type = thinking.needText("type");
  const display = thinking.oneOf("display", ["summarized", "omitted"]);
  const shown = display === undefined ? {} : { shown: display === "summarized" };
  if (type === "disabled") draft.set("reasoning", thinking.path, { effort: "none" });
  else if (type === "adaptive") draft.set("reasoning", thinking.path, { ...named, ...shown });
  else if (type === "enabled") {
    const budgetTokens = thinking.need("budget_tokens", thinking.integer("budget_tokens", 1, outputTokensMax));
    draft.set("reasoning", thinking.path, { ...named, budgetTokens, ...shown });
  } else throw cannotSay(context, thinking.path);
  thinking.done();
}

const modes = { auto: "auto", any: "required", none: "none" } as const;

function toolChoiceIn(draft: SettingsDraft, fields: Fields): void {
  const choice = fields.fields("tool_choice");
  if (choice === undefined) return;
  const type = choice.need("type", choice.oneOf("type", ["auto", "any", "tool", "none"] as const));
  const serial = choice.flag("disable_parallel_tool_use");
  if (serial === true) draft.set("parallelToolCalls", choice.at("disable_parallel_tool_use"), false);
  const value: ToolChoice =
    type === "tool" ? { mode: "named", tool: { name: choice.needText("name") } } : { mode: modes[type] };
  choice.done();
  draft.set("toolChoice", choice.path, value);
}

/** Edits only spare tokens, except compaction, whose result the client waits for. */
function contextManagementIn(context: ConversionContext, fields: Fields): void {
  const management = fields.fields("context_management");
  if (management === undefined) return;
  for (const spot of management.list("edits") ?? []) {
    const type = new Fields(context, spot).needText("type");
    if (!/^clear_(tool_uses|thinking)_\d{8}$/.test(type)) throw cannotSay(context, spot.path);
  }
  management.done();
  context.dropped.add("context_editing");
}
