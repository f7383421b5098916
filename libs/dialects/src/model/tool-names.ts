import type { ConversionContext } from "./fields.ts";
import { RefusedError } from "./refusal.ts";
import type { ConversationRequest, Tool, ToolName } from "./request.ts";

/**
 * Responses groups tools by namespace (codex sends its tools so), the others have one flat list: `namespace__name`, as
 * MCP clients write it. The flat names of a request are remembered until its answer, which then says the client's names.
 */

/** OpenAI chat allows 64 characters, which is the least of all. */
const flatLengthMax = 64;
const separator = "__";

export interface ToolNames {
  readonly flat: (tool: ToolName) => string;
  /** The client's tool of that flat name; undefined when the model made the name up. */
  readonly find: (flat: string) => Tool | undefined;
}

/** Throws RefusedError when two tools get the same flat name. */
export function toolNames(context: ConversionContext, tools: readonly Tool[]): ToolNames {
  const byName = new Map<string, Tool>();
  const nested = context.to === "responses";
  const flat = (tool: ToolName): string => (nested ? tool.name : flatName(tool));
  for (const tool of tools) {
    const name = nested ? `${tool.namespace ?? ""}${separator}${tool.name}` : flat(tool);
    if (byName.has(name)) {
      throw new RefusedError("unsupported", tool.at ?? "", "Two tools have the same name for this model's provider.");
    }
    byName.set(name, tool);
  }
  return { flat, find: (name) => (nested ? undefined : byName.get(name)) };
}

function flatName({ name, namespace }: ToolName): string {
  if (namespace === undefined) return name;
  const whole = `${namespace}${separator}${name}`;
  return whole.length <= flatLengthMax ? whole : `${whole.slice(0, flatLengthMax - 9)}_${digest(whole)}`;
}

/** FNV-1a, 32 bits (draft-eastlake-fnv): names the cut part; a collision is refused above. */
function digest(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, "0");
}

/** The tools that may be called, for dialects that cannot name a subset: leaving the others out says the same. */
export function allowedTools({ tools, settings }: ConversationRequest, names: ToolNames): readonly Tool[] {
  const choice = settings.toolChoice;
  if (choice === undefined || choice.mode === "named" || choice.allowed === undefined) return tools;
  const allowed = new Set(choice.allowed.map((tool) => names.flat(tool)));
  return tools.filter((tool) => allowed.has(names.flat(tool)));
}
