import { AppError } from "@codex/kernel";
import { checkMediaUrl, invalid, isObject, unsupported, type Json } from "../fields.ts";
import type { Said } from "./conversation-bound.ts";
import { base64Ms, bytesPerMsOf } from "./sound-format.ts";

/**
 * What a client may say in a session. Each event is built anew from what was understood, so that the upstream reads what was read
 * here; of a type that is not listed nobody knows what it costs.
 */
export interface ClientEvent {
  readonly type: string;
  /** As it goes upstream. */
  readonly json: string;
  readonly said: Said;
  /** It asks for a response. */
  readonly asks: boolean;
  /** Sound that comes from now on has this many bytes a millisecond; undefined: as before. */
  readonly inputBytesPerMs?: number | undefined;
}

export interface ClientEventTerms {
  /** The longest answer that the price allows. */
  readonly outputTokensMax: number;
  readonly inputBytesPerMs: number;
}

const silence: Said = { textBytes: 0, audioMs: 0, images: 0 };
const idForm = /^[\w.:-]{1,512}$/;

type Reader = (event: Record<string, unknown>, terms: ClientEventTerms) => Omit<ClientEvent, "type" | "json">;
const plain: Reader = () => ({ said: silence, asks: false });

/** platform.openai.com/docs/api-reference/realtime-client-events (2026-11), `RealtimeClientEvent` of openai 7.57. */
const readers: Readonly<Record<string, Reader>> = {
  "session.update": sessionUpdate,
  "input_audio_buffer.append": (event, terms) => {
    const { audio } = event;
    if (typeof audio !== "string") throw invalid("audio", "Invalid type for 'audio': expected base64 text.");
    return { said: { ...silence, audioMs: base64Ms(audio.length, terms.inputBytesPerMs) }, asks: false };
  },
  "input_audio_buffer.commit": plain,
  "input_audio_buffer.clear": plain,
  "output_audio_buffer.clear": plain,
  "conversation.item.create": (event, terms) => ({
    said: saidIn(event["item"], "item", terms.inputBytesPerMs),
    asks: false,
  }),
  "conversation.item.truncate": plain,
  "conversation.item.delete": plain,
  "conversation.item.retrieve": plain,
  "response.create": responseCreate,
  "response.cancel": plain,
};

/** The id by which the client knows its event; undefined when it gave none, or none that can be repeated. */
export function eventIdOf(event: unknown): string | undefined {
  const id = isObject(event) ? event["event_id"] : undefined;
  return typeof id === "string" && idForm.test(id) ? id : undefined;
}

/** `event`: parsed JSON; changed in place. Throws AppError (kind `invalid`) that names what is wrong. */
export function readClientEvent(event: unknown, terms: ClientEventTerms): ClientEvent {
  if (!isObject(event)) throw invalid("", "An event must be a JSON object.");
  const { type } = event;
  const read = typeof type === "string" && Object.hasOwn(readers, type) ? readers[type] : undefined;
  if (!read || typeof type !== "string") {
    throw invalid(
      "type",
      `Unknown event type: '${String(type).slice(0, 64)}'. There is: ${Object.keys(readers).join(", ")}.`,
    );
  }
  const understood = read(event, terms);
  return { type, json: written(event), ...understood };
}

/** `JSON.parse` takes deeper nesting than `JSON.stringify` (SEC-86). */
function written(event: Record<string, unknown>): string {
  try {
    return JSON.stringify(event);
  } catch {
    throw invalid("", "The event is nested too deeply.");
  }
}

function sessionUpdate(event: Record<string, unknown>, terms: ClientEventTerms): Omit<ClientEvent, "type" | "json"> {
  const { session } = event;
  if (!isObject(session)) throw invalid("session", "Invalid type for 'session': expected an object.");
  if (session["type"] !== undefined && session["type"] !== "realtime") {
    throw unsupported("session.type", "Sessions here are of the type `realtime`.");
  }
  refusePrompt(session, "session.prompt");
  // The model is the one that was paid for; traces would be kept in the provider's account.
  delete session["model"];
  delete session["tracing"];
  boundOutput(session, terms, false);
  const input = isObject(session["audio"]) ? session["audio"]["input"] : undefined;
  // Another model makes it, at a price of its own.
  if (isObject(input)) delete input["transcription"];
  const inputBytesPerMs = isObject(input) ? bytesPerMsOf(input["format"]) : undefined;
  const said = saidIn([session["instructions"], session["tools"]], "session", terms.inputBytesPerMs);
  return { said, asks: false, inputBytesPerMs };
}

function responseCreate(event: Record<string, unknown>, terms: ClientEventTerms): Omit<ClientEvent, "type" | "json"> {
  const response = event["response"] ?? {};
  if (!isObject(response)) throw invalid("response", "Invalid type for 'response': expected an object.");
  refusePrompt(response, "response.prompt");
  boundOutput(response, terms, true);
  event["response"] = response;
  const said = saidIn(
    [response["instructions"], response["tools"], response["input"]],
    "response.input",
    terms.inputBytesPerMs,
  );
  return { said, asks: true };
}

function refusePrompt(fields: Json, param: string): void {
  if (fields["prompt"] == null) return;
  throw unsupported(param, "Stored prompts belong to a provider's account; send the text in `instructions`.");
}

/** `inf` and nothing mean what the price allows; `always`: also where the client says nothing. */
function boundOutput(fields: Record<string, unknown>, { outputTokensMax }: ClientEventTerms, always: boolean): void {
  const asked = fields["max_output_tokens"];
  if (asked === undefined && !always) return;
  if (asked == null || asked === "inf") {
    fields["max_output_tokens"] = outputTokensMax;
    return;
  }
  if (typeof asked !== "number" || !Number.isSafeInteger(asked) || asked < 1) {
    throw invalid("max_output_tokens", "Invalid 'max_output_tokens': expected a positive integer or \"inf\".");
  }
  fields["max_output_tokens"] = Math.min(asked, outputTokensMax);
}

/** Text, sound and pictures of items, wherever in them they stand. Throws for a picture by a URL that may not go out (SEC-80). */
function saidIn(content: unknown, param: string, bytesPerMs: number): Said {
  let textBytes = 0;
  let audioMs = 0;
  let images = 0;
  const left: unknown[] = [content];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === "string") textBytes += Buffer.byteLength(value);
    else if (typeof value === "number" || typeof value === "boolean") textBytes += 8;
    else if (Array.isArray(value)) for (const one of value) left.push(one);
    else if (isObject(value)) {
      for (const [name, member] of Object.entries(value)) {
        textBytes += Buffer.byteLength(name);
        if (name === "audio" && typeof member === "string") audioMs += base64Ms(member.length, bytesPerMs);
        else if (name === "image_url" && value["type"] === "input_image") {
          checkMediaUrl(member, `${param}.content[].image_url`);
          images += 1;
        } else left.push(member);
      }
    }
  }
  return { textBytes, audioMs, images };
}

/** What is no JSON at all. */
export function unreadableEvent(cause: unknown): AppError {
  return new AppError({
    kind: "invalid",
    code: "invalid_request",
    publicMessage: "The event is not valid JSON.",
    cause,
  });
}
