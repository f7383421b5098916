import { isObject, textIn, type Json } from "../fields.ts";
import { bytesPerMsOf } from "./sound-format.ts";

/**
 * What an upstream says in a session. Its text goes on as it came, but for what belongs to the operator's account: the limits
 * of that account, its own words of errors, and its name of the model.
 */
export interface UpstreamEvent {
  readonly type: string;
  readonly event: Json;
}

/** Undefined for what is no event: it does not go on. */
export function readUpstreamEvent(text: string): UpstreamEvent | undefined {
  let event: unknown;
  try {
    event = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(event)) return undefined;
  const { type } = event;
  return typeof type === "string" ? { type, event } : undefined;
}

/** Events that stay here. */
export const withheldTypes: ReadonlySet<string> = new Set(["rate_limits.updated"]);

const responseOf = (event: Json): Json => (isObject(event["response"]) ? event["response"] : {});

export interface ResponseFacts {
  readonly id: string;
  /** Belongs to the session's conversation, so the next response reads it. */
  readonly inConversation: boolean;
  readonly status: string;
  readonly usage: unknown;
}

/** Of `response.created` and `response.done`. */
export function responseFacts(event: Json): ResponseFacts {
  const response = responseOf(event);
  return {
    id: textIn(response["id"]) ?? "",
    inConversation: response["conversation_id"] !== null,
    status: textIn(response["status"]) ?? "",
    usage: response["usage"],
  };
}

/** A piece of an answer: bytes of text, or characters of base64 sound. */
export interface Piece {
  readonly responseId: string;
  readonly textBytes: number;
  readonly soundCharacters: number;
}

const textDeltas: ReadonlySet<string> = new Set([
  "response.output_text.delta",
  "response.output_audio_transcript.delta",
  "response.function_call_arguments.delta",
  "response.mcp_call_arguments.delta",
]);

/** Undefined for every other event. */
export function pieceOf({ type, event }: UpstreamEvent): Piece | undefined {
  const isSound = type === "response.output_audio.delta";
  if (!isSound && !textDeltas.has(type)) return undefined;
  const delta = textIn(event["delta"]) ?? "";
  return {
    responseId: textIn(event["response_id"]) ?? "",
    textBytes: isSound ? 0 : Buffer.byteLength(delta),
    soundCharacters: isSound ? delta.length : 0,
  };
}

/** Of `session.created` and `session.updated`; undefined where they do not say. */
export function soundFormats(event: Json): { readonly input: number | undefined; readonly output: number | undefined } {
  const session = isObject(event["session"]) ? event["session"] : {};
  const audio = isObject(session["audio"]) ? session["audio"] : {};
  const of = (side: string): number | undefined => {
    const settings = audio[side];
    return isObject(settings) ? bytesPerMsOf(settings["format"]) : undefined;
  };
  return { input: of("input"), output: of("output") };
}

/** `session.created` and `session.updated` as the client gets them. */
export function withModel(event: Json, model: string): Json {
  const session = isObject(event["session"]) ? event["session"] : {};
  const shown = Object.fromEntries(Object.entries(session).filter(([name]) => name !== "client_secret"));
  return { ...event, session: { ...shown, model } };
}

/** `response.done` with what it cost. */
export function withCost(event: Json, cost: Json): Json {
  const response = responseOf(event);
  const usage = isObject(response["usage"]) ? response["usage"] : {};
  return { ...event, response: { ...response, usage: { ...usage, ...cost } } };
}

const codeForm = /^[a-z0-9_.]{1,64}$/i;
const paramForm = /^[\w.[\]-]{1,128}$/;

/** An error in our words: the upstream's own may name its account. What identifies the mistake stays. */
export function withoutWords(event: Json): Json {
  const error = isObject(event["error"]) ? event["error"] : {};
  const kept = (name: string, form: RegExp): string | null => {
    const value = error[name];
    return typeof value === "string" && form.test(value) ? value : null;
  };
  const code = kept("code", codeForm);
  const param = kept("param", paramForm);
  const where = param === null ? "" : ` at '${param}'`;
  return {
    type: "error",
    event_id: textIn(event["event_id"]) ?? null,
    error: {
      type: kept("type", codeForm) ?? "invalid_request_error",
      code,
      param,
      event_id: kept("event_id", /^[\w.:-]{1,512}$/),
      message: `The model's provider refused the event${where}${code === null ? "" : ` (${code})`}.`,
    },
  };
}
