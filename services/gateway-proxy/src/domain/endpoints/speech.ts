import { pcmLength, soundMeter } from "../audio-length.ts";
import { jsonOutgoing, type Endpoint, type JsonBody, type ParsedRequest } from "../endpoint.ts";
import {
  checkedFields,
  invalid,
  modelOf,
  number,
  numberOf,
  oneOf,
  text,
  textIn,
  textOrObject,
  type Fields,
} from "../fields.ts";
import { textOfParts } from "../request-text.ts";
import { TypedStream } from "../typed-stream.ts";
import { inputOutputUsage } from "../usage-objects.ts";
import { tokensFromInputOutput } from "../usage.ts";

/**
 * POST /v1/audio/speech: text to sound, as bytes while they are made, or as events. The bytes carry no usage: their length is
 * measured where the format lets us, else taken from the text.
 */
interface SpeechRequest extends ParsedRequest {
  readonly source: JsonBody;
  readonly textBytes: number;
  readonly format: string;
  readonly speed: number;
}

/** platform.openai.com/docs/api-reference/audio/createSpeech (read 2026-11). */
const fields: Fields = {
  model: text,
  input: text,
  voice: textOrObject,
  instructions: text,
  response_format: oneOf("mp3", "opus", "aac", "flac", "wav", "pcm"),
  speed: number(0.25, 4),
  stream_format: oneOf("sse", "audio"),
  language: text,
};

/** Of ours, whatever the provider says (SEC-85). */
const contentTypes: Readonly<Record<string, string>> = {
  mp3: "audio/mpeg",
  opus: "audio/ogg",
  aac: "audio/aac",
  flac: "audio/flac",
  wav: "audio/wav",
  pcm: "audio/pcm",
};

/**
 * UTF-8 bytes of text a second of speech: English and Chinese 13 to 15, Russian 28. The bound is for the slowest reader of the
 * densest script, with two seconds of silence around it.
 */
const bytesPerSecond = 14;
const bytesPerSecondMin = 6;
const silenceMs = 2_000;

const likelyMs = ({ textBytes, speed }: SpeechRequest): number =>
  Math.ceil((textBytes * 1_000) / bytesPerSecond / speed);

export const speechEndpoint: Endpoint<SpeechRequest> = {
  path: "/v1/audio/speech",
  operation: "speech",
  dialect: "openai",
  accepts: ["json"],
  forwardedHeaders: [],
  parse: (source) => {
    if (source.kind !== "json") throw invalid("", "The request body must be a JSON object.");
    const body = checkedFields(source.value, fields);
    const { input } = body;
    if (typeof input !== "string" || input === "")
      throw invalid("input", "You must provide `input`: the text to speak.");
    const textBytes = Buffer.byteLength(input) + Buffer.byteLength(textIn(body["instructions"]) ?? "");
    return {
      source,
      model: modelOf(body),
      stream: body["stream_format"] === "sse",
      textBytes,
      format: textIn(body["response_format"]) ?? "mp3",
      speed: numberOf(body["speed"]) ?? 1,
    };
  },
  bound: ({ textBytes, speed }) => ({
    bodyBytes: textBytes,
    imageUrls: 0,
    outputTokensAsked: undefined,
    answers: 1,
    audioMs: silenceMs + Math.ceil((textBytes * 1_000) / bytesPerSecondMin / speed),
  }),
  text: ({ source: { value } }) => textOfParts([value], 1),
  outgoing: ({ source, model }, target) => {
    const changes = new Map<string, unknown>();
    if (target.model !== model) changes.set("model", target.model);
    return jsonOutgoing(source, changes);
  },
  json: {
    problem: () => "answer is JSON where sound was asked for",
    metered: () => ({ tokens: undefined, answerBytes: 0 }),
    usage: inputOutputUsage,
  },
  raw: () => {
    // Asked for at every chunk: once the head is whole, its frames are not counted anew.
    const lengthOf = soundMeter();
    return {
      contentType: ({ format }) => contentTypes[format] ?? "application/octet-stream",
      metered: (request, head, bytes) => ({
        tokens: undefined,
        answerBytes: 0,
        audioMs: request.format === "pcm" ? pcmLength(bytes).ms : (lengthOf(head, bytes)?.ms ?? likelyMs(request)),
      }),
    };
  },
  stream: (request) =>
    new TypedStream({
      eventBytesMax: 4_194_304,
      prefix: "speech.",
      terminal: ["speech.audio.done"],
      terminals: 1,
      failed: ["error"],
      textMarks: [],
      holder: (event) => event,
      withHolder: (_event, holder) => holder,
      usage: inputOutputUsage,
      extra: (event) => (tokensFromInputOutput(event["usage"]) ? {} : { audioMs: likelyMs(request) }),
    }),
};
