import type { JsonObject } from "../model/dialect.ts";
import { cannotSay, type ConversionContext } from "../model/fields.ts";
import { mediaToUrl, textToBase64 } from "../model/media.ts";
import {
  callsById,
  type AssistantPart,
  type DocumentPart,
  type ImagePart,
  type ReasoningPart,
  type ResultContent,
  type TextPart,
  type ToolCallPart,
  type ToolResultPart,
  type Turn,
  type UserPart,
} from "../model/parts.ts";
import { sealToOpaque } from "../model/seal.ts";
import { writeToolError } from "../model/tool-error.ts";

export function turnsOut(context: ConversionContext, turns: readonly Turn[]): JsonObject[] {
  const calls = callsById(turns);
  return turns.flatMap((turn) => {
    if (turn.role === "assistant") return assistantItems(turn.parts).map(historyItem);
    if (turn.role === "user") return userItems(context, turn.parts, calls);
    const content = turn.parts.map((part) => inputOut(context, part));
    return [{ type: "message", role: turn.authority, content }];
  });
}

/** Results are items of their own, and come first: their calls wait for them. */
function userItems(
  context: ConversionContext,
  parts: readonly UserPart[],
  calls: ReadonlyMap<string, ToolCallPart>,
): JsonObject[] {
  const results = parts.filter((part) => part.type === "tool_result");
  const said = parts.filter((part) => part.type !== "tool_result");
  const items = results.map((part) => resultOut(context, part, calls.get(part.callId)?.custom ?? false));
  if (said.length === 0) return items;
  const content = said.map((part) => {
    if (part.type === "audio") throw cannotSay(context, part.at);
    return inputOut(context, part);
  });
  return [...items, { type: "message", role: "user", content }];
}

function inputOut(context: ConversionContext, part: ResultContent): JsonObject {
  if (part.cache !== undefined) context.dropped.add("cache_control");
  switch (part.type) {
    case "text":
      return { type: "input_text", text: part.text };
    case "image":
      return imageOut(part);
    case "document":
      return documentOut(part);
  }
}

function imageOut(part: ImagePart): JsonObject {
  return { type: "input_image", image_url: mediaToUrl(part.source), detail: part.detail ?? "auto" };
}

/** OpenAI wants a name for a file that is sent along. */
const defaultFilename = "document";

function documentOut({ source, filename }: DocumentPart): JsonObject {
  if (source.kind === "url") {
    return { type: "input_file", file_url: source.url, ...(filename === undefined ? {} : { filename }) };
  }
  const data = source.kind === "text" ? `data:text/plain;base64,${textToBase64(source.text)}` : mediaToUrl(source);
  return { type: "input_file", filename: filename ?? defaultFilename, file_data: data };
}

function resultOut(context: ConversionContext, part: ToolResultPart, custom: boolean): JsonObject {
  if (part.cache !== undefined) context.dropped.add("cache_control");
  const content = part.isError ? errorContent(part.content) : part.content;
  const [first] = content;
  const plain = content.length === 1 && first?.type === "text" ? first.text : undefined;
  return {
    type: custom ? "custom_tool_call_output" : "function_call_output",
    call_id: part.callId,
    output: content.length === 0 ? "" : (plain ?? content.map((inner) => inputOut(context, inner))),
  };
}

function errorContent(content: readonly ResultContent[]): readonly ResultContent[] {
  const [first, ...rest] = content;
  const lead: readonly TextPart[] = first?.type === "text" ? [first] : [];
  return [...writeToolError(true, lead), ...(first?.type === "text" ? rest : content)];
}

/** An item of an answer, before it has an id: a message gathers the texts between other items. */
export type OutputItem =
  | { readonly type: "message"; readonly content: readonly Extract<AssistantPart, { type: "text" | "refusal" }>[] }
  | { readonly type: "reasoning"; readonly part: ReasoningPart }
  | { readonly type: "call"; readonly call: ToolCallPart };

export function assistantItems(parts: readonly AssistantPart[]): OutputItem[] {
  const items: OutputItem[] = [];
  for (const part of parts) {
    const last = items.at(-1);
    if (part.type === "reasoning") items.push({ type: "reasoning", part });
    else if (part.type === "tool_call") items.push({ type: "call", call: part });
    else if (last?.type === "message") items[items.length - 1] = { type: "message", content: [...last.content, part] };
    else items.push({ type: "message", content: [part] });
  }
  return items;
}

/** Items of the past need no ids; ids would be looked for in a store. */
function historyItem(item: OutputItem): JsonObject {
  switch (item.type) {
    case "message":
      return { type: "message", role: "assistant", content: item.content.map((part) => contentOut(part)) };
    case "reasoning":
      return reasoningBody(item.part);
    case "call":
      return callBody(item.call, item.call.arguments);
  }
}

export function contentOut(part: { readonly type: "text" | "refusal"; readonly text: string }): JsonObject {
  return part.type === "text"
    ? { type: "output_text", text: part.text, annotations: [] }
    : { type: "refusal", refusal: part.text };
}

export function reasoningBody(part: ReasoningPart): JsonObject {
  const opaque = sealToOpaque(part);
  return {
    type: "reasoning",
    summary: part.text === "" ? [] : [{ type: "summary_text", text: part.text }],
    ...(opaque === undefined ? {} : { encrypted_content: opaque }),
  };
}

export function callBody(
  call: { readonly id: string; readonly name: string; readonly namespace?: string; readonly custom: boolean },
  text: string,
): JsonObject {
  const namespace = call.namespace === undefined ? {} : { namespace: call.namespace };
  return call.custom
    ? { type: "custom_tool_call", call_id: call.id, name: call.name, ...namespace, input: text }
    : { type: "function_call", call_id: call.id, name: call.name, ...namespace, arguments: text };
}
