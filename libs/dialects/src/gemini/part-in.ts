import type { JsonObject } from "../model/dialect.ts";
import { Fields, below, cannotSay, malformed, type ConversionContext, type Spot } from "../model/fields.ts";
import { mediaFromUrl } from "../model/media.ts";
import type {
  AssistantPart,
  AudioPart,
  DocumentPart,
  ImagePart,
  ResultContent,
  TextPart,
  UserPart,
} from "../model/parts.ts";
import type { RefusalKind } from "../model/refusal.ts";
import { joinSeals, reasoningFromOpaque } from "../model/seal.ts";
import { argumentsFromObject } from "../model/tool-arguments.ts";

/**
 * Google's stand-in for a signature that is not there, for calls of other models
 * (ai.google.dev/gemini-api/docs/thought-signatures, 2026).
 */
export const noSignature = "skip_thought_signature_validator";

/** Ids of calls: Gemini may leave them out and match results by name and order. */
export class CallIds {
  private readonly open: { readonly name: string; readonly id: string }[] = [];
  private count = 0;
  private readonly prefix: string;

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  call(name: string, given: string | undefined): string {
    const id = given ?? `call_${this.prefix}_${String(this.count)}`;
    this.count += 1;
    this.open.push({ name, id });
    return id;
  }

  /** Undefined when no call of that name waits for a result. */
  result(name: string, given: string | undefined): string | undefined {
    const index = this.open.findIndex((call) => (given === undefined ? call.name === name : call.id === given));
    const [call] = index < 0 ? [] : this.open.splice(index, 1);
    return call?.id ?? given;
  }
}

/** Fields of a part that only Gemini has. */
const foreign = [
  "audioTranscription",
  "codeExecutionResult",
  "executableCode",
  "mediaProcessing",
  "partMetadata",
  "speechMetadata",
  "toolCall",
  "toolResponse",
  "videoMetadata",
] as const;

export function userPartIn(context: ConversionContext, spot: Spot, ids: CallIds): UserPart {
  const fields = new Fields(context, spot);
  fields.unsupported(...foreign, "functionCall");
  fields.hint("media_resolution", "mediaResolution");
  const part = fields.has("functionResponse") ? resultIn(context, fields, ids) : contentIn(context, fields);
  fields.done();
  return part;
}

function contentIn(context: ConversionContext, fields: Fields): TextPart | MediaPart {
  const text = fields.text("text");
  if (text !== undefined) return { type: "text", text, at: fields.path };
  return mediaIn(context, fields);
}

type MediaPart = ImagePart | DocumentPart | AudioPart;

function mediaIn(context: ConversionContext, fields: Fields): MediaPart {
  const inline = fields.fields("inlineData");
  const at = fields.path;
  if (inline !== undefined) {
    const mediaType = inline.needText("mimeType").toLowerCase();
    inline.hint("title", "displayName");
    const data = inline.needText("data");
    inline.done();
    if (mediaType.startsWith("audio/")) return { type: "audio", mediaType, data, at };
    return mediaPart(context, { kind: "base64", mediaType, data }, mediaType, at);
  }
  const file = fields.need("text", fields.fields("fileData"));
  const uri = file.needText("fileUri");
  file.hint("title", "displayName");
  const mediaType = file.text("mimeType")?.toLowerCase();
  file.done();
  if (/^https?:\/\/generativelanguage\.googleapis\.com\//.test(uri) || !/^https?:\/\//.test(uri)) {
    throw cannotSay(context, file.at("fileUri"), "stored files belong to one provider");
  }
  if (mediaType === undefined) throw malformed("invalid", file.at("mimeType"), "the media type of the file");
  return mediaPart(context, mediaFromUrl(uri, file.at("fileUri")), mediaType, at);
}

function mediaPart(
  context: ConversionContext,
  source: ImagePart["source"],
  mediaType: string,
  at: string,
): ImagePart | DocumentPart {
  if (mediaType.startsWith("image/")) return { type: "image", source, at };
  if (mediaType === "application/pdf" || mediaType.startsWith("text/")) return { type: "document", source, at };
  throw cannotSay(context, at, `there is no place for ${mediaType.slice(0, 64)}`);
}

function resultIn(context: ConversionContext, fields: Fields, ids: CallIds): UserPart {
  const response = fields.need("functionResponse", fields.fields("functionResponse"));
  const name = response.needText("name");
  const callId = ids.result(name, response.text("id"));
  if (callId === undefined) throw malformed("invalid", response.path, "the result of a call before it");
  response.unsupported("scheduling");
  if (response.flag("willContinue") === true) throw cannotSay(context, response.at("willContinue"));
  const { isError, text } = responseIn(response.json("response") ?? {});
  const media = (response.list("parts") ?? []).map((spot): ResultContent => {
    const inner = new Fields(context, spot);
    const part = mediaIn(context, inner);
    inner.done();
    if (part.type === "audio") throw cannotSay(context, spot.path);
    return part;
  });
  response.done();
  const content: ResultContent[] = [...(text === "" ? [] : [{ type: "text", text } as const]), ...media];
  return { type: "tool_result", callId, isError, content, at: fields.path };
}

/** `output` and `error` are the keys that Gemini knows; any other object is the output itself. */
function responseIn(response: JsonObject): { isError: boolean; text: string } {
  const keys = Object.keys(response);
  const [key] = keys;
  const value = key === undefined ? "" : response[key];
  if (keys.length === 1 && (key === "output" || key === "error")) {
    return { isError: key === "error", text: typeof value === "string" ? value : JSON.stringify(value) };
  }
  return { isError: false, text: keys.length === 0 ? "" : JSON.stringify(response) };
}

/** The parts of the model's turn, in a request or as an answer. A signature belongs to the reasoning before its part. */
export function modelPartsIn(
  context: ConversionContext,
  spots: readonly Spot[],
  ids: CallIds,
  kind: RefusalKind,
): AssistantPart[] {
  return joinTexts(joinSeals(spots.flatMap((spot) => modelPartIn(context, spot, ids, kind))));
}

function modelPartIn(context: ConversionContext, spot: Spot, ids: CallIds, kind: RefusalKind): AssistantPart[] {
  const fields = new Fields(context, spot, kind);
  fields.unsupported(...foreign, "inlineData", "fileData", "functionResponse");
  const signature = fields.text("thoughtSignature");
  const opaque = signature === noSignature ? undefined : signature;
  const text = fields.text("text");
  const thought = fields.flag("thought") ?? false;
  if (thought) {
    if (kind === "invalid") fields.done();
    return (text ?? "") === "" && opaque === undefined ? [] : [reasoningFromOpaque(text ?? "", opaque, spot.path)];
  }
  const sealed = opaque === undefined ? [] : [reasoningFromOpaque("", opaque, spot.path)];
  const call = fields.fields("functionCall");
  if (kind === "invalid") fields.done();
  if (call === undefined)
    return [...sealed, ...((text ?? "") === "" ? [] : [{ type: "text", text: text ?? "", at: spot.path } as const])];
  const name = call.needText("name");
  const id = ids.call(name, call.text("id"));
  const args = argumentsFromObject(call.json("args") ?? {});
  if (call.flag("willContinue") === true)
    throw malformed(kind, below(call.path, "willContinue"), "false: a whole call");
  return [...sealed, { type: "tool_call", id, name, custom: false, arguments: args, at: spot.path }];
}

/** An answer's text comes in pieces that mean nothing by themselves. */
function joinTexts(parts: readonly AssistantPart[]): AssistantPart[] {
  const joined: AssistantPart[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (part.type === "text" && last?.type === "text")
      joined[joined.length - 1] = { ...last, text: last.text + part.text };
    else joined.push(part);
  }
  return joined;
}
