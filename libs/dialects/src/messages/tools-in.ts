import {
  Fields,
  cannotSay,
  malformed,
  typeOf,
  unknownType,
  type ConversionContext,
  type Spot,
} from "../model/fields.ts";
import { cacheOf } from "../model/media.ts";
import type { Tool } from "../model/request.ts";

/**
 * The tools of a conversation. Claude Code adds and removes some in system messages (mid-conversation-tool-changes): what
 * counts for the next answer are the tools as they stand at the end.
 */
export class ToolList {
  private readonly context: ConversionContext;
  private readonly tools = new Map<string, Tool>();
  private readonly removed = new Set<string>();

  constructor(context: ConversionContext, spots: readonly Spot[]) {
    this.context = context;
    for (const spot of spots) this.define(spot);
  }

  /** Takes a block that changes the tools; false when it is another block. */
  change(spot: Spot): boolean {
    const type = typeOf(this.context, spot);
    if (type !== "tool_addition" && type !== "tool_removal") return false;
    const fields = new Fields(this.context, spot);
    fields.text("type");
    fields.hint("cache_control", "cache_control");
    const tool = fields.need("tool", fields.spot("tool"));
    this.context.dropped.add("tool_loading");
    const inner = new Fields(this.context, tool);
    const kind = inner.needText("type");
    if (kind === "tool_definition" && type === "tool_addition") {
      this.define(inner.need("definition", inner.spot("definition")));
    } else if (kind === "tool_reference") this.refer(inner, type === "tool_removal");
    else throw cannotSay(this.context, tool.path);
    fields.done();
    return true;
  }

  atTheEnd(): readonly Tool[] {
    return [...this.tools.values()].filter(({ name }) => !this.removed.has(name));
  }

  private refer(reference: Fields, remove: boolean): void {
    const name = reference.needText("name");
    if (!this.tools.has(name)) throw malformed("invalid", reference.at("name"), "the name of a tool that is defined");
    if (remove) this.removed.add(name);
    else this.removed.delete(name);
  }

  private define(spot: Spot): void {
    const tool = toolIn(this.context, spot);
    this.tools.set(tool.name, tool);
    this.removed.delete(tool.name);
  }
}

function toolIn(context: ConversionContext, spot: Spot): Tool {
  const fields = new Fields(context, spot);
  const type = fields.text("type");
  if (type !== undefined && type !== "custom") {
    // Built-in tools have a date in their type; everything else is a mistake.
    throw /_\d{8}$/.test(type)
      ? cannotSay(context, spot.path, "built-in tools belong to one provider")
      : unknownType(spot, type);
  }
  const description = fields.text("description");
  const strict = fields.flag("strict");
  fields.hint("tool_loading", "defer_loading", "eager_input_streaming", "input_examples");
  for (const caller of fields.list("allowed_callers") ?? []) {
    if (caller.value !== "direct") throw cannotSay(context, caller.path);
  }
  const tool: Tool = {
    name: fields.needText("name"),
    custom: false,
    parameters: fields.need("input_schema", fields.json("input_schema")),
    ...(description === undefined ? {} : { description }),
    ...(strict === undefined ? {} : { strict }),
    ...cacheOf(fields),
    at: spot.path,
  };
  fields.done();
  return tool;
}
