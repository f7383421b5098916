import { functionIn, modeIn } from "../chat/request-in.ts";
import { Fields, cannotSay, spotOf, typeOf, unknownType, type ConversionContext, type Spot } from "../model/fields.ts";
import type { Tool, ToolChoice, ToolName } from "../model/request.ts";

/** A tool, or all those of a namespace. Codex sends its tools in namespaces. */
export function toolsIn(context: ConversionContext, spot: Spot): Tool[] {
  const type = typeOf(context, spot);
  const fields = new Fields(context, spot);
  fields.text("type");
  if (type === "function" || type === "custom") return [toolIn(context, fields, type === "custom", undefined)];
  if (type !== "namespace") throw cannotSay(context, spot.path, "built-in tools belong to one provider");
  const namespace = fields.needText("name");
  fields.hint("namespace_description", "description");
  const tools = fields.need("tools", fields.list("tools")).map((entry) => {
    const inner = new Fields(context, entry);
    const kind = inner.need("type", inner.oneOf("type", ["function", "custom"]));
    return toolIn(context, inner, kind === "custom", namespace);
  });
  fields.done();
  return tools;
}

function toolIn(context: ConversionContext, fields: Fields, custom: boolean, namespace: string | undefined): Tool {
  fields.hint("tool_loading", "defer_loading", "output_schema");
  if (fields.flag("async") === true) throw cannotSay(context, fields.at("async"));
  for (const caller of fields.list("allowed_callers") ?? []) {
    if (caller.value !== "direct") throw cannotSay(context, caller.path);
  }
  const tool = functionIn(context, fields, custom);
  fields.done();
  return { ...tool, ...(namespace === undefined ? {} : { namespace }), at: fields.path };
}

export function toolChoiceIn(context: ConversionContext, fields: Fields): ToolChoice | undefined {
  const spot = fields.spot("tool_choice");
  if (spot === undefined) return undefined;
  if (typeof spot.value === "string") return { mode: modeIn(spot) };
  const choice = new Fields(context, spot);
  const type = choice.needText("type");
  if (type === "function" || type === "custom") return { mode: "named", tool: nameIn(choice) };
  if (type !== "allowed_tools") throw cannotSay(context, spot.path, "built-in tools belong to one provider");
  const allowed = choice.need("tools", choice.list("tools")).map((entry) => {
    const tool = new Fields(context, entry);
    const kind = tool.needText("type");
    if (kind !== "function" && kind !== "custom") throw unknownType(spotOf(undefined, entry.path), kind);
    return nameIn(tool);
  });
  const mode = choice.oneOf("mode", ["auto", "required"]) ?? "auto";
  choice.done();
  return { mode, allowed };
}

function nameIn(fields: Fields): ToolName {
  const namespace = fields.text("namespace");
  const name = fields.needText("name");
  fields.done();
  return namespace === undefined ? { name } : { name, namespace };
}
