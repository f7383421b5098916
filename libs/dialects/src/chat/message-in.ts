import {
  Fields,
  cannotSay,
  malformed,
  typeOf,
  unknownType,
  type ConversionContext,
  type Spot,
} from "../model/fields.ts";
import { cacheOf, mediaFromUrl } from "../model/media.ts";
import type {
  AssistantPart,
  AssistantTurn,
  DocumentPart,
  ImagePart,
  ReasoningPart,
  SystemTurn,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  Turn,
  UserPart,
} from "../model/parts.ts";
import { objectOr } from "../model/parse-data.ts";
import type { RefusalKind } from "../model/refusal.ts";
import { joinSeals, reasoningFromOpaque } from "../model/seal.ts";
import { readToolError } from "../model/tool-error.ts";

/** One entry of `messages`. A participant's `name` is refused: the model sees it, and only chat has it. */
export function messageIn(context: ConversionContext, spot: Spot): Turn {
  const fields = new Fields(context, spot);
  const role = fields.oneOf("role", ["system", "developer", "user", "assistant", "tool", "function"]);
  switch (fields.need("role", role)) {
    case "system":
      return systemIn(context, fields, "system");
    case "developer":
      return systemIn(context, fields, "developer");
    case "user":
      return userIn(context, fields);
    case "assistant":
      return assistantIn(context, fields);
    case "tool":
      return toolIn(context, fields);
    case "function":
      throw cannotSay(context, fields.at("role"), "functions are replaced by tools");
  }
}

function systemIn(context: ConversionContext, fields: Fields, authority: "system" | "developer"): SystemTurn {
  fields.unsupported("name");
  const parts = textsIn(context, fields);
  fields.done();
  return { role: "system", authority, parts, at: fields.path };
}

function userIn(context: ConversionContext, fields: Fields): Turn {
  fields.unsupported("name");
  const parts = contentIn(fields, (spot) => userPartIn(context, spot));
  fields.done();
  return { role: "user", parts, at: fields.path };
}

function toolIn(context: ConversionContext, fields: Fields): Turn {
  fields.hint("title", "name");
  const callId = fields.needText("tool_call_id");
  const { isError, content } = readToolError(textsIn(context, fields));
  const result: ToolResultPart = { type: "tool_result", callId, isError, content, at: fields.path };
  fields.done();
  return { role: "user", parts: [result], at: fields.path };
}

/** `content` as text or as parts; absent content is none. */
function contentIn<Part>(fields: Fields, read: (spot: Spot) => Part): (Part | TextPart)[] {
  const spot = fields.spot("content");
  if (spot === undefined) return [];
  if (typeof spot.value === "string") return [{ type: "text", text: spot.value, at: spot.path }];
  if (!Array.isArray(spot.value)) throw malformed(fields.kind, spot.path, "a string or an array of parts");
  return (fields.list("content") ?? []).map(read);
}

function textsIn(context: ConversionContext, fields: Fields): TextPart[] {
  return contentIn(fields, (spot) => {
    const type = typeOf(context, spot);
    if (type !== "text") throw unknownType(spot, type);
    return textIn(context, spot);
  });
}

function textIn(context: ConversionContext, spot: Spot, kind: RefusalKind = "invalid"): TextPart {
  const fields = new Fields(context, spot, kind);
  fields.text("type");
  fields.hint("cache_control", "prompt_cache_breakpoint");
  const part: TextPart = { type: "text", text: fields.needText("text"), ...cacheOf(fields), at: spot.path };
  if (kind === "invalid") fields.done();
  return part;
}

function userPartIn(context: ConversionContext, spot: Spot): UserPart {
  const type = typeOf(context, spot);
  if (type === "text") return textIn(context, spot);
  const fields = new Fields(context, spot);
  fields.text("type");
  fields.hint("cache_control", "prompt_cache_breakpoint");
  const cache = cacheOf(fields);
  const part = mediaPartIn(context, type, fields, spot);
  fields.done();
  return { ...part, ...cache };
}

function mediaPartIn(context: ConversionContext, type: string, fields: Fields, spot: Spot): UserPart {
  switch (type) {
    case "image_url":
      return imageIn(fields, spot);
    case "file":
      return fileIn(context, fields, spot);
    case "input_audio": {
      const audio = fields.need("input_audio", fields.fields("input_audio"));
      const format = audio.needText("format");
      const part = {
        type: "audio",
        mediaType: `audio/${format}`,
        data: audio.needText("data"),
        at: spot.path,
      } as const;
      audio.done();
      return part;
    }
    default:
      throw unknownType(spot, type);
  }
}

function imageIn(fields: Fields, spot: Spot): ImagePart {
  const image = fields.need("image_url", fields.fields("image_url"));
  const source = mediaFromUrl(image.needText("url"), image.at("url"));
  const detail = image.oneOf("detail", ["auto", "low", "high", "original"]);
  image.done();
  return { type: "image", source, ...(detail === undefined ? {} : { detail }), at: spot.path };
}

function fileIn(context: ConversionContext, fields: Fields, spot: Spot): DocumentPart {
  const file = fields.need("file", fields.fields("file"));
  if (file.has("file_id")) throw cannotSay(context, file.at("file_id"), "stored files belong to one provider");
  const filename = file.text("filename");
  const source = mediaFromUrl(file.needText("file_data"), file.at("file_data"));
  file.done();
  return { type: "document", source, ...(filename === undefined ? {} : { filename }), at: spot.path };
}

function assistantIn(context: ConversionContext, fields: Fields): AssistantTurn {
  fields.unsupported("name", "audio", "function_call");
  fields.hint("annotations", "annotations");
  const parts = assistantPartsIn(context, fields, "invalid");
  fields.done();
  return { role: "assistant", parts, at: fields.path };
}

/** The parts of an assistant's message, in a request or as an answer: reasoning, text, refusal, calls. */
export function assistantPartsIn(context: ConversionContext, fields: Fields, kind: RefusalKind): AssistantPart[] {
  const content = contentIn<AssistantPart>(fields, (spot) => {
    const type = typeOf(context, spot, kind);
    if (type === "text") return textIn(context, spot, kind);
    if (type !== "refusal") throw unknownType(spot, type, kind);
    const part = new Fields(context, spot, kind);
    return { type: "refusal", text: part.needText("refusal"), at: spot.path };
  });
  const refusal = fields.text("refusal");
  return [
    ...reasoningIn(context, fields, kind),
    ...content.filter((part) => part.type !== "text" || part.text !== ""),
    ...(refusal === undefined || refusal === ""
      ? []
      : [{ type: "refusal", text: refusal, at: fields.at("refusal") } as const]),
    ...(fields.list("tool_calls") ?? []).map((spot) => callIn(context, spot, kind)),
  ];
}

/**
 * Chat has no reasoning of its own. `reasoning_details` is OpenRouter's (openrouter.ai/docs, reasoning tokens, 2026),
 * the only form with seals; `reasoning_content` is DeepSeek's, vLLM's and others', `reasoning` the short form of either.
 */
function reasoningIn(context: ConversionContext, fields: Fields, kind: RefusalKind): AssistantPart[] {
  const details = fields.list("reasoning_details");
  const short = fields.text("reasoning_content");
  const shorter = fields.text("reasoning");
  if (details !== undefined && details.length > 0) {
    return joinSeals(joinPieces(details, (spot) => detailIn(context, spot, kind)));
  }
  const text = short ?? shorter ?? "";
  return text === "" ? [] : [reasoningFromOpaque(text, undefined, fields.at("reasoning_content"))];
}

/** A client that kept the pieces of a stream sends them back as they came; those of one index are one part. */
function joinPieces(details: readonly Spot[], read: (spot: Spot) => ReasoningPart): ReasoningPart[] {
  const parts: ReasoningPart[] = [];
  let open: unknown;
  for (const spot of details) {
    const part = read(spot);
    const { type, index } = objectOr(spot.value);
    const last = parts.at(-1);
    const place = type === "reasoning.text" && typeof index === "number" ? index : undefined;
    if (last !== undefined && place !== undefined && place === open && last.seal === undefined) {
      parts[parts.length - 1] = { ...last, ...part, text: last.text + part.text };
    } else parts.push(part);
    open = place;
  }
  return parts;
}

export function detailIn(context: ConversionContext, spot: Spot, kind: RefusalKind): ReasoningPart {
  const fields = new Fields(context, spot, kind);
  const type = fields.needText("type");
  if (type === "reasoning.text") {
    return reasoningFromOpaque(fields.text("text") ?? "", fields.text("signature"), spot.path);
  }
  if (type === "reasoning.summary") return reasoningFromOpaque(fields.text("summary") ?? "", undefined, spot.path);
  if (type === "reasoning.encrypted") return reasoningFromOpaque("", fields.needText("data"), spot.path);
  throw unknownType(spot, type, kind);
}

function callIn(context: ConversionContext, spot: Spot, kind: RefusalKind): ToolCallPart {
  const fields = new Fields(context, spot, kind);
  const type = fields.text("type") ?? "function";
  const id = fields.needText("id");
  fields.value("index");
  const custom = type === "custom";
  if (!custom && type !== "function") throw unknownType(spot, type, kind);
  const inner = fields.need(type, fields.fields(type));
  const text = inner.text(custom ? "input" : "arguments") ?? "";
  const part: ToolCallPart = {
    type: "tool_call",
    id,
    name: inner.needText("name"),
    custom,
    arguments: text,
    at: spot.path,
  };
  if (kind === "invalid") {
    inner.done();
    fields.done();
  }
  return part;
}
