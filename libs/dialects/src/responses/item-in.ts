import {
  Fields,
  cannotSay,
  malformed,
  typeOf,
  unknownType,
  type ConversionContext,
  type Spot,
} from "../model/fields.ts";
import { mediaFromUrl } from "../model/media.ts";
import type {
  AssistantPart,
  DocumentPart,
  ImagePart,
  ResultContent,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  Turn,
} from "../model/parts.ts";
import type { RefusalKind } from "../model/refusal.ts";
import { reasoningFromOpaque } from "../model/seal.ts";
import { readToolError } from "../model/tool-error.ts";

/** An item of `input`; a message may leave its type out. Items that only their provider can read are refused by name. */
export function itemIn(context: ConversionContext, spot: Spot): Turn {
  const fields = new Fields(context, spot);
  const type = fields.text("type") ?? "message";
  switch (type) {
    case "message":
      return messageIn(context, fields);
    case "function_call":
    case "custom_tool_call":
    case "reasoning":
      return { role: "assistant", parts: outputItemIn(context, spot, "invalid"), at: spot.path };
    case "function_call_output":
    case "custom_tool_call_output":
      return { role: "user", parts: [resultIn(context, fields)], at: spot.path };
    case "item_reference":
      throw cannotSay(context, spot.path, "no content is stored here; send the item itself");
    default:
      throw cannotSay(context, spot.path, `items of type '${type.slice(0, 64)}' belong to one provider`);
  }
}

function messageIn(context: ConversionContext, fields: Fields): Turn {
  const role = fields.need("role", fields.oneOf("role", ["user", "assistant", "system", "developer"] as const));
  fields.hint("phase", "phase", "status", "id");
  const at = fields.path;
  if (role === "assistant") {
    const parts = contentIn<AssistantPart>(fields, (spot) => answerPartIn(context, spot, "invalid"));
    fields.done();
    return { role, parts, at };
  }
  const parts = contentIn(fields, (spot) => inputPartIn(context, spot));
  fields.done();
  if (role === "user") return { role, parts, at };
  const texts = parts.map((part): TextPart => {
    if (part.type === "text") return part;
    throw malformed("invalid", part.at ?? at, "text");
  });
  return { role: "system", authority: role, parts: texts, at };
}

function contentIn<Part>(fields: Fields, read: (spot: Spot) => Part, name = "content"): (Part | TextPart)[] {
  const spot = fields.need(name, fields.spot(name));
  if (typeof spot.value === "string")
    return spot.value === "" ? [] : [{ type: "text", text: spot.value, at: spot.path }];
  if (!Array.isArray(spot.value)) throw malformed("invalid", spot.path, "a string or an array of parts");
  return (fields.list(name) ?? []).map(read);
}

function inputPartIn(context: ConversionContext, spot: Spot): ResultContent {
  const type = typeOf(context, spot);
  const fields = new Fields(context, spot);
  fields.text("type");
  fields.hint("cache_control", "prompt_cache_breakpoint");
  const part = inputMediaIn(context, type, fields, spot);
  fields.done();
  return part;
}

function inputMediaIn(context: ConversionContext, type: string, fields: Fields, spot: Spot): ResultContent {
  if (fields.has("file_id")) throw cannotSay(context, fields.at("file_id"), "stored files belong to one provider");
  fields.value("file_id");
  switch (type) {
    case "input_text":
    case "output_text":
    case "text":
      fields.hint("annotations", "annotations");
      fields.hint("logprobs", "logprobs");
      return { type: "text", text: fields.needText("text"), at: spot.path };
    case "input_image": {
      const source = mediaFromUrl(fields.needText("image_url"), fields.at("image_url"));
      const detail = fields.oneOf("detail", ["auto", "low", "high", "original"]);
      const image: ImagePart = { type: "image", source, ...(detail && detail !== "auto" && { detail }), at: spot.path };
      return image;
    }
    case "input_file":
      return fileIn(fields, spot);
    default:
      throw unknownType(spot, type);
  }
}

function fileIn(fields: Fields, spot: Spot): DocumentPart {
  const filename = fields.text("filename");
  fields.hint("image_detail", "detail");
  const name = fields.has("file_url") ? "file_url" : "file_data";
  const source = mediaFromUrl(fields.needText(name), fields.at(name));
  fields.value("file_data");
  return { type: "document", source, ...(filename === undefined ? {} : { filename }), at: spot.path };
}

function resultIn(context: ConversionContext, fields: Fields): ToolResultPart {
  fields.text("type");
  callerIn(context, fields);
  // The call itself says its name and its namespace.
  for (const name of ["id", "status", "name", "namespace"]) fields.value(name);
  const output = contentIn(fields, (spot) => inputPartIn(context, spot), "output");
  const { isError, content } = readToolError(output);
  const part: ToolResultPart = {
    type: "tool_result",
    callId: fields.needText("call_id"),
    isError,
    content,
    at: fields.path,
  };
  fields.done();
  return part;
}

/** A program that calls tools on its own is of one provider. */
function callerIn(context: ConversionContext, fields: Fields): void {
  const caller = fields.fields("caller");
  if (caller !== undefined && caller.needText("type") !== "direct") throw cannotSay(context, caller.path);
  if (fields.flag("async") === true) throw cannotSay(context, fields.at("async"));
}

/** An item that a model wrote, in a request or in an answer: the parts of its turn that it stands for. */
export function outputItemIn(context: ConversionContext, spot: Spot, kind: RefusalKind): AssistantPart[] {
  const fields = new Fields(context, spot, kind);
  const type = fields.needText("type");
  switch (type) {
    case "message":
      return (fields.list("content") ?? []).map((part) => answerPartIn(context, part, kind));
    case "function_call":
    case "custom_tool_call":
      return [callIn(context, fields, type === "custom_tool_call", kind)];
    case "reasoning":
      return [reasoningIn(context, fields, kind)];
    default:
      throw cannotSay(context, spot.path, `items of type '${type.slice(0, 64)}' belong to one provider`);
  }
}

function answerPartIn(context: ConversionContext, spot: Spot, kind: RefusalKind): AssistantPart {
  const fields = new Fields(context, spot, kind);
  const type = fields.needText("type");
  if (type === "refusal") return { type: "refusal", text: fields.needText("refusal"), at: spot.path };
  // Some clients write an assistant's earlier text as input_text.
  if (type !== "output_text" && type !== "input_text" && type !== "text") throw unknownType(spot, type, kind);
  if ((fields.list("annotations")?.length ?? 0) > 0) context.dropped.add("annotations");
  return { type: "text", text: fields.needText("text"), at: spot.path };
}

function callIn(context: ConversionContext, fields: Fields, custom: boolean, kind: RefusalKind): ToolCallPart {
  callerIn(context, fields);
  const namespace = fields.text("namespace");
  for (const name of ["id", "status"]) fields.value(name);
  const part: ToolCallPart = {
    type: "tool_call",
    id: fields.needText("call_id"),
    name: fields.needText("name"),
    ...(namespace === undefined ? {} : { namespace }),
    custom,
    arguments: fields.text(custom ? "input" : "arguments") ?? "",
    at: fields.path,
  };
  if (kind === "invalid") fields.done();
  return part;
}

function reasoningIn(context: ConversionContext, fields: Fields, kind: RefusalKind): AssistantPart {
  const read = (name: string): string[] =>
    (fields.list(name) ?? []).map((spot) => new Fields(context, spot, kind).text("text") ?? "");
  const summary = read("summary");
  const content = read("content");
  // The summary stands for the content where both are given.
  const text = (summary.length > 0 ? summary : content).join(summarySeparator);
  const sealed = fields.text("encrypted_content");
  for (const name of ["id", "status"]) fields.value(name);
  if (kind === "invalid") fields.done();
  return reasoningFromOpaque(text, sealed, fields.path);
}

/** Parts of a summary are paragraphs. */
export const summarySeparator = "\n\n";
