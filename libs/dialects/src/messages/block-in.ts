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
  DocumentPart,
  ImagePart,
  MediaSource,
  ReasoningPart,
  ResultContent,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  UserPart,
} from "../model/parts.ts";
import type { RefusalKind } from "../model/refusal.ts";
import { argumentsFromObject } from "../model/tool-arguments.ts";

/** Blocks of a content list that is a text or a list of blocks; absent content is none. */
export function blocksIn<Part>(fields: Fields, read: (spot: Spot) => Part): (Part | TextPart)[] {
  const spot = fields.spot("content");
  if (spot === undefined) return [];
  if (typeof spot.value === "string")
    return spot.value === "" ? [] : [{ type: "text", text: spot.value, at: spot.path }];
  if (!Array.isArray(spot.value)) throw malformed("invalid", spot.path, "a string or an array of blocks");
  return (fields.list("content") ?? []).map(read);
}

export function textBlockIn(context: ConversionContext, spot: Spot, kind: RefusalKind = "invalid"): TextPart {
  const type = typeOf(context, spot, kind);
  if (type !== "text") throw unknownType(spot, type, kind);
  const fields = new Fields(context, spot, kind);
  fields.text("type");
  fields.hint("annotations", "citations");
  const part: TextPart = { type: "text", text: fields.needText("text"), ...cacheOf(fields), at: spot.path };
  if (kind === "invalid") fields.done();
  return part;
}

export function userBlockIn(context: ConversionContext, spot: Spot): UserPart {
  const type = typeOf(context, spot);
  switch (type) {
    case "text":
      return textBlockIn(context, spot);
    case "image":
      return imageIn(context, spot);
    case "document":
      return documentIn(context, spot);
    case "tool_result":
      return resultIn(context, spot);
    default:
      throw cannotSay(context, spot.path, `blocks of type '${type.slice(0, 64)}' belong to one provider`);
  }
}

function sourceIn(context: ConversionContext, fields: Fields): MediaSource {
  const source = fields.need("source", fields.fields("source"));
  const type = source.needText("type");
  if (type === "base64") {
    const media = { kind: "base64", mediaType: source.needText("media_type"), data: source.needText("data") } as const;
    source.done();
    return media;
  }
  if (type === "url") return mediaFromUrl(source.needText("url"), source.at("url"));
  if (type === "file") throw cannotSay(context, source.path, "stored files belong to one provider");
  throw unknownType({ value: undefined, path: source.path }, type);
}

function imageIn(context: ConversionContext, spot: Spot): ImagePart {
  const fields = new Fields(context, spot);
  fields.text("type");
  fields.hint("image_detail", "transformations");
  const part: ImagePart = { type: "image", source: sourceIn(context, fields), ...cacheOf(fields), at: spot.path };
  fields.done();
  return part;
}

function documentIn(context: ConversionContext, spot: Spot): DocumentPart {
  const fields = new Fields(context, spot);
  fields.text("type");
  const title = fields.text("title");
  fields.unsupported("context");
  if (fields.fields("citations")?.flag("enabled") === true) throw cannotSay(context, fields.at("citations"));
  const inner = fields.need("source", fields.fields("source"));
  const plain = inner.value("type") === "text";
  const source = plain ? ({ kind: "text", text: inner.needText("data") } as const) : sourceIn(context, fields);
  const named = title === undefined ? {} : { filename: title };
  const part: DocumentPart = { type: "document", source, ...named, ...cacheOf(fields), at: spot.path };
  fields.done();
  return part;
}

function resultIn(context: ConversionContext, spot: Spot): ToolResultPart {
  const fields = new Fields(context, spot);
  fields.text("type");
  fields.unsupported("toolset_name");
  const part: ToolResultPart = {
    type: "tool_result",
    callId: fields.needText("tool_use_id"),
    isError: fields.flag("is_error") ?? false,
    content: blocksIn(fields, (inner) => resultContentIn(context, inner)),
    ...cacheOf(fields),
    at: spot.path,
  };
  fields.done();
  return part;
}

/** A reference to a tool that was found becomes its name: its definition is declared with the others (hint tool_loading). */
function resultContentIn(context: ConversionContext, spot: Spot): ResultContent {
  const type = typeOf(context, spot);
  if (type === "text") return textBlockIn(context, spot);
  if (type === "image") return imageIn(context, spot);
  if (type === "document") return documentIn(context, spot);
  if (type !== "tool_reference")
    throw cannotSay(context, spot.path, `blocks of type '${type.slice(0, 64)}' belong to one provider`);
  context.dropped.add("tool_loading");
  return { type: "text", text: new Fields(context, spot).needText("tool_name"), at: spot.path };
}

/** A block of an assistant's message, in a request or as an answer. */
export function assistantBlockIn(context: ConversionContext, spot: Spot, kind: RefusalKind): AssistantPart {
  const type = typeOf(context, spot, kind);
  switch (type) {
    case "text":
      return textBlockIn(context, spot, kind);
    case "thinking":
    case "redacted_thinking":
      return reasoningIn(new Fields(context, spot, kind), type === "redacted_thinking");
    case "tool_use":
      return callIn(context, spot, kind);
    default:
      throw cannotSay(context, spot.path, `blocks of type '${type.slice(0, 64)}' belong to one provider`);
  }
}

function reasoningIn(fields: Fields, redacted: boolean): ReasoningPart {
  const seal = redacted ? fields.needText("data") : fields.text("signature");
  const text = redacted ? "" : (fields.text("thinking") ?? "");
  const sealed = seal === undefined || seal === "" ? {} : { seal };
  return { type: "reasoning", text, redacted, ...sealed, at: fields.path };
}

function callIn(context: ConversionContext, spot: Spot, kind: RefusalKind): ToolCallPart {
  const fields = new Fields(context, spot, kind);
  fields.text("type");
  fields.unsupported("toolset_name");
  const caller = fields.fields("caller");
  if (caller !== undefined && caller.needText("type") !== "direct") throw cannotSay(context, caller.path);
  const part: ToolCallPart = {
    type: "tool_call",
    id: fields.needText("id"),
    name: fields.needText("name"),
    custom: false,
    arguments: argumentsFromObject(fields.json("input") ?? {}),
    ...cacheOf(fields),
    at: spot.path,
  };
  if (kind === "invalid") fields.done();
  return part;
}
