import type { JsonObject } from "../model/dialect.ts";
import { cannotSay, type ConversionContext } from "../model/fields.ts";
import { base64ToText, cacheControl } from "../model/media.ts";
import type {
  AssistantPart,
  DocumentPart,
  ImagePart,
  ReasoningPart,
  TextPart,
  ToolResultPart,
  Turn,
  UserPart,
} from "../model/parts.ts";
import { argumentsToObject, wrapCustomInput } from "../model/tool-arguments.ts";
import type { ToolNames } from "../model/tool-names.ts";

/** One plain text is written as a string. */
export function systemBlocks(parts: readonly TextPart[]): string | JsonObject[] {
  const [first] = parts;
  if (first !== undefined && parts.length === 1 && first.cache === undefined) return first.text;
  return parts.map(textOut);
}

/** A turn that holds nothing the provider can take is left out. */
export function turnOut(context: ConversionContext, turn: Turn, names: ToolNames): JsonObject[] {
  if (turn.role === "system") return [{ role: "system", content: systemBlocks(turn.parts) }];
  const content =
    turn.role === "user"
      ? resultsFirst(turn.parts).map((part) => userOut(context, part))
      : turn.parts.flatMap((part) => assistantOut(context, part, names));
  return content.length === 0 ? [] : [{ role: turn.role, content }];
}

/** Anthropic refuses a message whose results do not come first. */
function resultsFirst(parts: readonly UserPart[]): readonly UserPart[] {
  const results = parts.filter(({ type }) => type === "tool_result");
  return results.length === 0 ? parts : [...results, ...parts.filter(({ type }) => type !== "tool_result")];
}

function textOut(part: TextPart): JsonObject {
  return { type: "text", text: part.text, ...cacheControl(part) };
}

function userOut(context: ConversionContext, part: UserPart): JsonObject {
  switch (part.type) {
    case "text":
      return textOut(part);
    case "image":
      return imageOut(context, part);
    case "document":
      return documentOut(context, part);
    case "tool_result":
      return resultOut(context, part);
    case "audio":
      throw cannotSay(context, part.at);
  }
}

const imageTypes: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

function imageOut(context: ConversionContext, part: ImagePart): JsonObject {
  if (part.detail !== undefined && part.detail !== "auto") context.dropped.add("image_detail");
  const { source } = part;
  if (source.kind === "url") return { type: "image", source: { type: "url", url: source.url }, ...cacheControl(part) };
  if (!imageTypes.has(source.mediaType)) throw cannotSay(context, part.at, "images are png, jpeg, gif or webp");
  return {
    type: "image",
    source: { type: "base64", media_type: source.mediaType, data: source.data },
    ...cacheControl(part),
  };
}

function documentOut(context: ConversionContext, part: DocumentPart): JsonObject {
  const title = part.filename === undefined ? {} : { title: part.filename };
  return { type: "document", source: documentSource(context, part), ...title, ...cacheControl(part) };
}

function documentSource(context: ConversionContext, { source, at }: DocumentPart): JsonObject {
  if (source.kind === "url") return { type: "url", url: source.url };
  if (source.kind === "text") return { type: "text", media_type: "text/plain", data: source.text };
  if (source.mediaType === "application/pdf") {
    return { type: "base64", media_type: source.mediaType, data: source.data };
  }
  const text = source.mediaType.startsWith("text/") ? base64ToText(source.data) : undefined;
  if (text === undefined) throw cannotSay(context, at, "documents are PDF or plain text");
  return { type: "text", media_type: "text/plain", data: text };
}

function resultOut(context: ConversionContext, part: ToolResultPart): JsonObject {
  const [first] = part.content;
  const plain = part.content.length === 1 && first?.type === "text" && first.cache === undefined;
  const content = plain ? first.text : part.content.map((inner) => userOut(context, inner));
  return {
    type: "tool_result",
    tool_use_id: part.callId,
    ...(part.content.length === 0 ? {} : { content }),
    ...(part.isError ? { is_error: true } : {}),
    ...cacheControl(part),
  };
}

function assistantOut(context: ConversionContext, part: AssistantPart, names: ToolNames): JsonObject[] {
  // Thinking without a signature is refused by Anthropic, and may be left out (extended thinking guide, 2026).
  if (part.type === "reasoning" && part.seal === undefined) {
    context.dropped.add("reasoning_history");
    return [];
  }
  // Empty text blocks are refused too.
  if (part.type === "text" && part.text === "") return [];
  return [answerBlock(part, (call) => names.flat(call))];
}

type Named = Extract<AssistantPart, { readonly type: "tool_call" }>;

/** A block of an assistant's message; a custom tool is a function with one argument here. */
export function answerBlock(part: AssistantPart, nameOf: (call: Named) => string): JsonObject {
  switch (part.type) {
    case "text":
      return textOut(part);
    case "refusal":
      return { type: "text", text: part.text };
    case "reasoning":
      return reasoningOut(part);
    case "tool_call":
      return {
        type: "tool_use",
        id: part.id,
        name: nameOf(part),
        input: argumentsToObject(part.custom ? wrapCustomInput(part.arguments) : part.arguments),
        ...cacheControl(part),
      };
  }
}

function reasoningOut(part: ReasoningPart): JsonObject {
  if (part.redacted) return { type: "redacted_thinking", data: part.seal ?? "" };
  return { type: "thinking", thinking: part.text, signature: part.seal ?? "" };
}
