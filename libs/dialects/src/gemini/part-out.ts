import type { JsonObject } from "../model/dialect.ts";
import { cannotSay, type ConversionContext } from "../model/fields.ts";
import { mediaTypeOfUrl, textToBase64 } from "../model/media.ts";
import {
  callsById,
  type AssistantPart,
  type DocumentPart,
  type ImagePart,
  type ToolCallPart,
  type ToolResultPart,
  type Turn,
  type UserPart,
} from "../model/parts.ts";
import { sealToOpaque } from "../model/seal.ts";
import { argumentsToObject, wrapCustomInput } from "../model/tool-arguments.ts";
import type { ToolNames } from "../model/tool-names.ts";
import { noSignature } from "./part-in.ts";

/** Turns other than system → `contents`. A turn without parts is left out, as Gemini refuses it. */
export function contentsOut(context: ConversionContext, turns: readonly Turn[], names: ToolNames): JsonObject[] {
  const calls = callsById(turns);
  return turns.flatMap((turn) => {
    const parts =
      turn.role === "assistant"
        ? modelPartsOut(turn.parts, (call) => names.flat(call), true)
        : turn.parts.map((part) => userPartOut(context, part, calls, names));
    return parts.length === 0 ? [] : [{ role: turn.role === "assistant" ? "model" : "user", parts }];
  });
}

function userPartOut(
  context: ConversionContext,
  part: UserPart,
  calls: ReadonlyMap<string, ToolCallPart>,
  names: ToolNames,
): JsonObject {
  if (part.type !== "audio" && part.cache !== undefined) context.dropped.add("cache_control");
  switch (part.type) {
    case "text":
      return { text: part.text };
    case "audio":
      return { inlineData: { mimeType: part.mediaType, data: part.data } };
    case "image":
    case "document":
      return mediaOut(context, part);
    case "tool_result": {
      const call = calls.get(part.callId);
      if (call === undefined) throw cannotSay(context, part.at, "the call that it answers is not in the conversation");
      return resultOut(context, part, names.flat(call));
    }
  }
}

function mediaOut(context: ConversionContext, part: ImagePart | DocumentPart): JsonObject {
  if (part.type === "image" && part.detail !== undefined && part.detail !== "auto") context.dropped.add("image_detail");
  if (part.type === "document" && part.filename !== undefined) context.dropped.add("title");
  const { source } = part;
  if (source.kind === "base64") return { inlineData: { mimeType: source.mediaType, data: source.data } };
  if (source.kind === "text") return { inlineData: { mimeType: "text/plain", data: textToBase64(source.text) } };
  const mimeType = mediaTypeOfUrl(source.url);
  const fits = mimeType?.startsWith("image/") === (part.type === "image");
  if (mimeType === undefined || !fits) {
    throw cannotSay(context, part.at, "the ending of the URL does not tell the media type; send the content in base64");
  }
  return { fileData: { mimeType, fileUri: source.url } };
}

function resultOut(context: ConversionContext, part: ToolResultPart, name: string): JsonObject {
  const texts = part.content.flatMap((inner) => (inner.type === "text" ? [inner.text] : []));
  const media = part.content.flatMap((inner) => (inner.type === "text" ? [] : [mediaOut(context, inner)]));
  const response = { [part.isError ? "error" : "output"]: texts.join("\n") };
  return { functionResponse: { id: part.callId, name, response, ...(media.length === 0 ? {} : { parts: media }) } };
}

/**
 * The model's turn. A seal goes on the part that follows its reasoning, or on an empty text at the end, where Gemini put it.
 * In a request, the first call of a turn must have one: Google's stand-in, where there is none.
 */
export function modelPartsOut(
  parts: readonly AssistantPart[],
  nameOf: (call: ToolCallPart) => string,
  request: boolean,
): JsonObject[] {
  const out: JsonObject[] = [];
  let pending: string | undefined;
  let called = false;
  const flush = (): void => {
    if (pending !== undefined) out.push({ text: "", thoughtSignature: pending });
    pending = undefined;
  };
  for (const part of parts) {
    if (part.type === "reasoning") {
      flush();
      if (part.text !== "") out.push({ text: part.text, thought: true });
      pending = sealToOpaque(part);
      continue;
    }
    const first = part.type === "tool_call" && !called;
    called ||= part.type === "tool_call";
    const signature = pending ?? (first && request ? noSignature : undefined);
    pending = undefined;
    out.push({ ...partOut(part, nameOf), ...(signature === undefined ? {} : { thoughtSignature: signature }) });
  }
  flush();
  return out;
}

function partOut(
  part: Exclude<AssistantPart, { readonly type: "reasoning" }>,
  nameOf: (call: ToolCallPart) => string,
): JsonObject {
  if (part.type !== "tool_call") return { text: part.text };
  const args = argumentsToObject(part.custom ? wrapCustomInput(part.arguments) : part.arguments);
  return { functionCall: { id: part.id, name: nameOf(part), args } };
}
