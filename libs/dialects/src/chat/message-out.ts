import type { JsonObject } from "../model/dialect.ts";
import { cannotSay, type ConversionContext } from "../model/fields.ts";
import { cacheControl, mediaToUrl, textToBase64 } from "../model/media.ts";
import type {
  AssistantPart,
  AssistantTurn,
  DocumentPart,
  ImagePart,
  ReasoningPart,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  Turn,
  UserPart,
  UserTurn,
} from "../model/parts.ts";
import { sealToOpaque } from "../model/seal.ts";
import { writeToolError } from "../model/tool-error.ts";
import type { ToolNames } from "../model/tool-names.ts";
import type { ChatTarget } from "./request-out.ts";

interface Writer {
  readonly context: ConversionContext;
  readonly names: ToolNames;
  readonly target: ChatTarget;
}

export function turnsOut(
  context: ConversionContext,
  turns: readonly Turn[],
  names: ToolNames,
  target: ChatTarget,
): JsonObject[] {
  const writer = { context, names, target };
  return turns.flatMap((turn) => {
    if (turn.role === "user") return userOut(writer, turn);
    if (turn.role === "assistant") return assistantOut(writer, turn);
    return { role: turn.authority, content: textsOut(writer, turn.parts) };
  });
}

/** One plain text is written as a string, which every compatible server understands. */
function textsOut(writer: Writer, parts: readonly TextPart[]): string | JsonObject[] {
  const [first] = parts;
  const kept = parts.some(({ cache }) => cache !== undefined) && writer.target.extensions;
  if (first !== undefined && parts.length === 1 && !kept) {
    cacheOut(writer, first);
    return first.text;
  }
  return parts.map((part) => textOut(writer, part));
}

function textOut(writer: Writer, part: TextPart): JsonObject {
  return { type: "text", text: part.text, ...cacheOut(writer, part) };
}

function cacheOut(writer: Writer, part: { readonly cache?: "5m" | "1h" }): JsonObject {
  if (part.cache === undefined) return {};
  if (writer.target.extensions) return { ...cacheControl(part) };
  writer.context.dropped.add("cache_control");
  return {};
}

/**
 * Results are messages of their own and must follow the calls at once; the media that they hold cannot stand in them and
 * follow in a user message, named after their call.
 */
function userOut(writer: Writer, turn: UserTurn): JsonObject[] {
  const results = turn.parts.filter((part) => part.type === "tool_result");
  const said: UserPart[] = turn.parts.filter((part) => part.type !== "tool_result");
  const media = results.flatMap((result): UserPart[] => {
    const parts = result.content.filter((part) => part.type !== "text");
    return parts.length === 0 ? [] : [{ type: "text", text: `Attached to the result of ${result.callId}:` }, ...parts];
  });
  const messages = results.map((result) => resultOut(writer, result));
  const parts = [...media, ...said];
  const texts = parts.filter((part) => part.type === "text");
  if (parts.length === 0) return messages;
  const content =
    texts.length === parts.length ? textsOut(writer, texts) : parts.map((part) => userPartOut(writer, part));
  return [...messages, { role: "user", content }];
}

function resultOut(writer: Writer, result: ToolResultPart): JsonObject {
  cacheOut({ ...writer, target: { extensions: false } }, result);
  const texts = writeToolError(
    result.isError,
    result.content.filter((part) => part.type === "text"),
  );
  const content = texts.length === 0 ? "" : textsOut(writer, texts);
  return { role: "tool", tool_call_id: result.callId, content };
}

function userPartOut(writer: Writer, part: UserPart): JsonObject {
  switch (part.type) {
    case "text":
      return textOut(writer, part);
    case "image":
      return imageOut(writer, part);
    case "document":
      return documentOut(writer, part);
    case "audio": {
      const format = /^audio\/(?:x-)?(wav|mp3|mpeg)$/.exec(part.mediaType)?.[1];
      if (format === undefined) throw cannotSay(writer.context, part.at, "only wav and mp3 can be sent");
      return { type: "input_audio", input_audio: { data: part.data, format: format === "mpeg" ? "mp3" : format } };
    }
    case "tool_result":
      return resultOut(writer, part);
  }
}

function imageOut(writer: Writer, part: ImagePart): JsonObject {
  const detail = part.detail === undefined ? {} : { detail: part.detail };
  return { type: "image_url", image_url: { url: mediaToUrl(part.source), ...detail }, ...cacheOut(writer, part) };
}

/** OpenAI wants a name for a file that is sent along. */
const defaultFilename = "document";

function documentOut(writer: Writer, part: DocumentPart): JsonObject {
  const { source } = part;
  if (source.kind === "url") throw cannotSay(writer.context, part.at, "send the document itself, in base64");
  const data = source.kind === "text" ? `data:text/plain;base64,${textToBase64(source.text)}` : mediaToUrl(source);
  const file = { filename: part.filename ?? defaultFilename, file_data: data };
  return { type: "file", file, ...cacheOut(writer, part) };
}

function assistantOut(writer: Writer, turn: AssistantTurn): JsonObject[] {
  const { parts } = turn;
  const texts = parts.filter((part) => part.type === "text");
  const calls = parts.filter((part) => part.type === "tool_call");
  const refusals = parts.filter((part) => part.type === "refusal");
  const reasoning = parts.filter((part) => part.type === "reasoning");
  const firstCall = parts.findIndex(({ type }) => type === "tool_call");
  if (calls.length > 0 && parts.findLastIndex(({ type }) => type === "text") > firstCall) {
    writer.context.dropped.add("order_of_calls");
  }
  if (reasoning.length > 0 && !writer.target.extensions) writer.context.dropped.add("reasoning_history");
  const details = writer.target.extensions ? reasoning.flatMap(detailsOut) : [];
  if (texts.length + calls.length + refusals.length + details.length === 0) return [];
  return [
    {
      role: "assistant",
      content: texts.length === 0 ? null : textsOut(writer, texts),
      ...(details.length === 0 ? {} : { reasoning_details: details }),
      ...(refusals.length === 0 ? {} : { refusal: refusals.map(({ text }) => text).join("") }),
      ...(calls.length === 0 ? {} : { tool_calls: calls.map((call) => callOut(call, writer.names)) }),
    },
  ];
}

/**
 * The form that `reasoning_details` of a message has (see `reasoningIn` in message-in.ts). The index is that of the part: the
 * pieces of one in a stream have the same.
 */
export function detailsOut(part: ReasoningPart, index: number): JsonObject[] {
  const opaque = sealToOpaque(part);
  if (part.redacted) return opaque === undefined ? [] : [{ type: "reasoning.encrypted", data: opaque, index }];
  const signature = opaque === undefined ? {} : { signature: opaque };
  return [{ type: "reasoning.text", text: part.text, ...signature, index }];
}

export function callOut(call: ToolCallPart, names: ToolNames | undefined): JsonObject {
  const name = names === undefined ? call.name : names.flat(call);
  return call.custom
    ? { id: call.id, type: "custom", custom: { name, input: call.arguments } }
    : { id: call.id, type: "function", function: { name, arguments: call.arguments } };
}

/** The parts of an answer's message, as chat clients read them. */
export function answerMessageOut(parts: readonly AssistantPart[]): JsonObject {
  const text = parts.flatMap((part) => (part.type === "text" ? [part.text] : []));
  const refusal = parts.flatMap((part) => (part.type === "refusal" ? [part.text] : []));
  const reasoning = parts.filter((part) => part.type === "reasoning");
  const shown = reasoning.map((part) => part.text).join("");
  const calls = parts.filter((part) => part.type === "tool_call");
  return {
    role: "assistant",
    content: text.length === 0 ? null : text.join(""),
    refusal: refusal.length === 0 ? null : refusal.join(""),
    ...(shown === "" ? {} : { reasoning_content: shown }),
    ...(reasoning.length === 0 ? {} : { reasoning_details: reasoning.flatMap(detailsOut) }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map((call) => callOut(call, undefined)) }),
  };
}
