import { audioLength, type AudioLength } from "../audio-length.ts";
import { marksOf } from "../chat-chunk.ts";
import type { Endpoint, Metered, ParsedRequest, RawAnswer, RequestBody } from "../endpoint.ts";
import {
  flag,
  invalid,
  isObject,
  list,
  modelOf,
  number,
  oneOf,
  text,
  textIn,
  textOrList,
  type Fields,
  type Json,
} from "../fields.ts";
import { fieldsAndFiles } from "../form-fields.ts";
import { textPart, writeForm, type FormPart } from "../form.ts";
import type { Operation } from "../operation.ts";
import { TypedStream } from "../typed-stream.ts";
import { inputOutputUsage } from "../usage-objects.ts";
import { noTokens, tokensFromInputOutput } from "../usage.ts";

/**
 * POST /v1/audio/transcriptions and /v1/audio/translations: sound to text. Providers report seconds or tokens, and charge by
 * what they report; of the plain text formats they report nothing, and the file's own length stands in.
 */
interface TranscriptRequest extends ParsedRequest {
  readonly fields: Json;
  readonly file: FormPart;
  readonly length: AudioLength;
  readonly format: string;
}

/** platform.openai.com/docs/api-reference/audio/createTranscription (read 2026-11). */
const fields: Fields = {
  model: text,
  language: text,
  prompt: text,
  response_format: oneOf("json", "text", "srt", "verbose_json", "vtt", "diarized_json"),
  temperature: number(0, 1),
  stream: flag,
  chunking_strategy: text,
  "timestamp_granularities[]": list,
  "include[]": list,
  "known_speaker_names[]": list,
  "known_speaker_references[]": list,
  timestamp_granularities: textOrList,
};

/** A token of sound is a tenth of a second (OpenAI's audio models); doubled, because nobody promises it. */
const tokensPerSecondMax = 20;

function parse(body: RequestBody): TranscriptRequest {
  const { fields: values, files } = fieldsAndFiles(body, fields, ["file"]);
  const [file] = files;
  if (!file || file.content.length === 0) throw invalid("file", "You must provide a sound file as the form's `file`.");
  return {
    fields: values,
    file,
    model: modelOf(values),
    stream: values["stream"] === true,
    length: audioLength(file.content, file.content.length),
    format: textIn(values["response_format"]) ?? "json",
  };
}

/** Seconds by the provider's word: `usage.seconds`, or the `duration` of a verbose answer. Undefined: none, or a lie. */
function reportedMs({ usage, duration }: Json, { length }: TranscriptRequest): number | undefined {
  const seconds = isObject(usage) && usage["type"] === "duration" ? usage["seconds"] : duration;
  const told = typeof seconds === "string" ? Number(seconds) : seconds;
  const isBelievable = typeof told === "number" && Number.isFinite(told) && told >= 0 && told * 1_000 <= length.boundMs;
  return isBelievable ? Math.ceil(told * 1_000) : undefined;
}

/** Tokens when they are reported, else the time: never both, because they are two ways to say the same. */
function metered(answer: Json, request: TranscriptRequest): Metered {
  const answerBytes = typeof answer["text"] === "string" ? Buffer.byteLength(answer["text"]) : 0;
  const tokens = tokensFromInputOutput(answer["usage"]);
  if (tokens) return { tokens, answerBytes };
  const audioMs = reportedMs(answer, request);
  if (audioMs !== undefined) return { tokens: noTokens, answerBytes, audioMs };
  return { tokens: undefined, answerBytes, audioMs: request.length.ms };
}

const raw: RawAnswer<TranscriptRequest> = {
  contentType: ({ format }) => (format === "vtt" ? "text/vtt; charset=utf-8" : "text/plain; charset=utf-8"),
  metered: ({ length }, _head, bytes) => ({ tokens: undefined, answerBytes: bytes, audioMs: length.ms }),
};

function transcriptEndpoint(path: string, operation: Operation): Endpoint<TranscriptRequest> {
  return {
    path,
    operation,
    dialect: "openai",
    accepts: ["form"],
    forwardedHeaders: [],
    parse,
    bound: ({ fields: values, length }) => ({
      bodyBytes: Buffer.byteLength(textIn(values["prompt"]) ?? ""),
      imageUrls: 0,
      mediaTokens: Math.ceil((length.boundMs / 1_000) * tokensPerSecondMax),
      outputTokensAsked: undefined,
      answers: 1,
      audioMs: length.boundMs,
    }),
    text: () => undefined,
    outgoing: (request, target) => {
      const texts = Object.entries(request.fields).flatMap(([name, value]) => {
        if (name === "model") return [];
        const values = Array.isArray(value) ? (value as unknown[]) : [value];
        return values.map((one) => textPart(name, String(one)));
      });
      return writeForm([textPart("model", target.model), ...texts, request.file]);
    },
    json: {
      problem: (answer) => (typeof answer["text"] === "string" ? undefined : "answer has no text"),
      metered,
      usage: inputOutputUsage,
    },
    raw: ({ format, stream }) => (!stream && ["text", "srt", "vtt"].includes(format) ? raw : undefined),
    stream: (request) =>
      new TypedStream({
        eventBytesMax: 4_194_304,
        prefix: "transcript.",
        terminal: ["transcript.text.done"],
        terminals: 1,
        failed: ["error"],
        textMarks: marksOf("delta"),
        holder: (event) => event,
        withHolder: (_event, holder) => holder,
        usage: inputOutputUsage,
        extra: (event) => {
          const { tokens, audioMs } = metered(event, request);
          return { ...(tokens ? { usage: tokens } : {}), ...(audioMs === undefined ? {} : { audioMs }) };
        },
      }),
  };
}

export const transcriptionsEndpoint = transcriptEndpoint("/v1/audio/transcriptions", "transcriptions");
export const translationsEndpoint = transcriptEndpoint("/v1/audio/translations", "translations");
