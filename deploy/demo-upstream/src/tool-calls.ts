import { createHash } from "node:crypto";
import type { GenerationRequest, ToolCall, ToolSpec } from "./generate.ts";
import { excerpt } from "./text/phrases.ts";
import { sampleOf } from "./text/sample.ts";

/** Which tools an answer calls, and with what. */

type Request = Pick<
  GenerationRequest,
  "items" | "model" | "parallelToolCalls" | "toolChoice" | "toolResult" | "tools" | "userText"
>;

/** Real models call no more at once. */
const callsMax = 8;

/**
 * A model calls a tool when it must (`required`, a named tool), and `demo-tools` also when it may and no tool has answered
 * yet. It calls what the prompt's script says, else the tools whose names stand in the prompt, else the first.
 */
export function callsFor(request: Request): readonly ToolCall[] {
  const { tools, toolChoice, userText } = request;
  const mayCall = toolChoice.kind === "auto" && request.model.persona === "tools" && request.toolResult === undefined;
  if (toolChoice.kind === "none" || (toolChoice.kind === "auto" && !mayCall)) return [];
  const named = toolChoice.kind === "named" ? tools.filter((tool) => tool.name === toolChoice.name) : [];
  const scripted = named.length === 0 ? scriptOf(userText, tools) : [];
  if (scripted.length > 0) {
    return scripted.slice(0, request.parallelToolCalls ? callsMax : 1).map((one, at) => callOf(request, one, at));
  }
  const mentioned = tools.filter((tool) => userText.includes(tool.name));
  const wanted = [named, mentioned, tools].find((list) => list.length > 0) ?? [];
  const several = named.length === 0 && mentioned.length > 0 && request.parallelToolCalls;
  return wanted
    .slice(0, several ? callsMax : 1)
    .map((tool, at) => callOf(request, { tool, input: sample(tool, userText) }, at));
}

interface Wanted {
  readonly tool: ToolSpec;
  readonly input: string;
}

/**
 * Lines `!call <tool> <input>` of the prompt: a call of that tool with exactly that, so that a program which runs what a model
 * asks for can be led through a real task. A line that names no tool of the request is not one.
 */
function scriptOf(userText: string, tools: readonly ToolSpec[]): readonly Wanted[] {
  return [...userText.matchAll(/^[ \t]*!call[ \t]+(\S+)[ \t]+(\S.*)$/gm)].flatMap(([, name, input = ""]) => {
    const tool = tools.find((one) => one.name === name);
    return tool ? [{ tool, input: input.trimEnd() }] : [];
  });
}

function sample({ custom, parameters }: ToolSpec, userText: string): string {
  return custom === true ? excerpt(userText) : JSON.stringify(sampleOf(parameters, excerpt(userText)) ?? {});
}

function callOf({ items }: Request, { tool, input }: Wanted, index: number): ToolCall {
  const hash = createHash("sha256").update(`${String(index)} ${tool.name} ${input} ${String(items.length)}`);
  return {
    id: hash.digest("hex").slice(0, 24),
    name: tool.name,
    argumentsJson: input,
    ...(tool.custom === true ? { custom: true } : {}),
    ...(tool.namespace === undefined ? {} : { namespace: tool.namespace }),
  };
}
