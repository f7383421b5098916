import type { Answer } from "./model/answer.ts";
import type { StreamEvent } from "./model/events.ts";
import { upstreamFault } from "./model/parse-data.ts";
import type { AssistantPart, ToolCallPart } from "./model/parts.ts";
import { unwrapCustomInput } from "./model/tool-arguments.ts";
import type { ToolNames } from "./model/tool-names.ts";
import { eventLengthMax } from "./sse/reader.ts";

/** Calls of an answer in the client's words: its namespaces, and free text for its custom tools. */
export function restoreAnswer(answer: Answer, names: ToolNames): Answer {
  const restore = (part: AssistantPart): AssistantPart => (part.type === "tool_call" ? restoreCall(part, names) : part);
  const candidates = answer.candidates.map((candidate) => ({ ...candidate, parts: candidate.parts.map(restore) }));
  return { ...answer, candidates };
}

function restoreCall(call: ToolCallPart, names: ToolNames): ToolCallPart {
  const tool = names.find(call.name);
  if (tool === undefined) return call;
  const wrapped = tool.custom && !call.custom;
  return {
    ...call,
    name: tool.name,
    ...(tool.namespace === undefined ? {} : { namespace: tool.namespace }),
    custom: tool.custom,
    arguments: wrapped ? unwrapCustomInput(call.arguments) : call.arguments,
  };
}

/**
 * The same for a stream. Free text that arrives wrapped in JSON is held back until it is whole, at most
 * {@link eventLengthMax} characters a call; everything else passes at once.
 */
export function restoreStream(names: ToolNames): (event: StreamEvent) => StreamEvent[] {
  const held = new Map<number, string>();
  return (event) => {
    if (event.type === "part_start" && event.part.type === "tool_call") {
      const tool = names.find(event.part.name);
      if (tool === undefined) return [event];
      if (tool.custom && !event.part.custom) held.set(event.candidate, "");
      const namespace = tool.namespace === undefined ? {} : { namespace: tool.namespace };
      return [{ ...event, part: { ...event.part, name: tool.name, ...namespace, custom: tool.custom } }];
    }
    if (event.type !== "delta" && event.type !== "part_end") return [event];
    const text = held.get(event.candidate);
    if (text === undefined) return [event];
    if (event.type === "delta") {
      held.set(event.candidate, text + event.text);
      const tooLong = text.length + event.text.length > eventLengthMax;
      return tooLong ? [{ type: "error", fault: upstreamFault("a call is too long") }] : [];
    }
    held.delete(event.candidate);
    return [{ type: "delta", candidate: event.candidate, text: unwrapCustomInput(text) }, event];
  };
}
