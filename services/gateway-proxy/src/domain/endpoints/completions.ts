import { ChatStream } from "../chat-stream.ts";
import { withheld } from "../chat-request.ts";
import { jsonOutgoing, type Endpoint, type JsonBody, type ParsedRequest } from "../endpoint.ts";
import {
  anything,
  checkedFields,
  flag,
  integer,
  invalid,
  isObject,
  modelOf,
  number,
  numberOf,
  object,
  outputTokens,
  text,
  textOrList,
  type Fields,
  type Json,
} from "../fields.ts";
import { textOfParts } from "../request-text.ts";
import { textBytesOf } from "../typed-stream.ts";
import { chatUsage } from "../usage-objects.ts";
import { tokensFromOpenAiUsage } from "../usage.ts";

interface CompletionRequest extends ParsedRequest {
  readonly source: JsonBody;
  readonly body: Json;
  readonly outputTokensAsked: number | undefined;
  /** Answers that are made, whether shown or not. */
  readonly answers: number;
}

/** platform.openai.com/docs/api-reference/completions/create (read 2026-11). */
const fields: Fields = {
  model: text,
  prompt: textOrList,
  stream: flag,
  stream_options: object,
  n: integer(1, 128),
  best_of: integer(1, 20),
  max_tokens: outputTokens,
  temperature: number(0, 2),
  top_p: number(0, 1),
  frequency_penalty: number(-2, 2),
  presence_penalty: number(-2, 2),
  stop: textOrList,
  seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  suffix: text,
  echo: flag,
  logprobs: anything,
  logit_bias: object,
  user: text,
  top_k: integer(-1, 1_000_000),
  min_p: number(0, 1),
  repetition_penalty: number(0, 10),
};

/** OpenAI's default when no bound is given; another server may have none, so it is always said. */
const promptsMax = 2_048;

function promptsIn(prompt: unknown): number {
  if (typeof prompt === "string") return 1;
  if (!Array.isArray(prompt) || prompt.length === 0 || prompt.length > 1_000_000) {
    throw invalid("prompt", "You must provide a `prompt`: a text, a list of texts, or tokens.");
  }
  if (typeof prompt[0] === "number") return 1;
  if (prompt.length > promptsMax) throw invalid("prompt", `'prompt' has more than ${promptsMax} entries.`);
  return prompt.length;
}

/** POST /v1/completions: the older text API. */
export const completionsEndpoint: Endpoint<CompletionRequest> = {
  path: "/v1/completions",
  operation: "completions",
  dialect: "openai",
  accepts: ["json"],
  forwardedHeaders: [],
  parse: (source) => {
    if (source.kind !== "json") throw invalid("", "The request body must be a JSON object.");
    const body = checkedFields(source.value, fields);
    const model = modelOf(body);
    const prompts = promptsIn(body["prompt"]);
    const made = Math.max(numberOf(body["n"]) ?? 1, numberOf(body["best_of"]) ?? 1);
    const outputTokensAsked = numberOf(body["max_tokens"]);
    return { source, body, model, stream: body["stream"] === true, outputTokensAsked, answers: prompts * made };
  },
  // What is echoed is prompt, not answer, but some servers count it as one: the input's bytes bound it already.
  bound: ({ source, outputTokensAsked, answers }) => ({
    bodyBytes: source.bytes.length,
    imageUrls: 0,
    outputTokensAsked,
    answers,
  }),
  text: ({ body: { prompt, suffix } }) =>
    Array.isArray(prompt) && typeof prompt[0] !== "string" ? undefined : textOfParts([prompt, suffix], 1),
  outgoing: (request, target) => {
    const changes = new Map<string, unknown>(withheld.map((name) => [name, undefined]));
    if (target.model !== request.model) changes.set("model", target.model);
    if (target.outputTokens !== request.outputTokensAsked) changes.set("max_tokens", target.outputTokens);
    const options = request.body["stream_options"];
    if (request.stream) {
      changes.set("stream_options", { ...(isObject(options) ? options : {}), include_usage: true });
    }
    return jsonOutgoing(request.source, changes);
  },
  json: {
    problem: (answer) => (Array.isArray(answer["choices"]) ? undefined : "answer has no choices"),
    metered: ({ usage, choices }) => ({
      tokens: tokensFromOpenAiUsage(usage),
      answerBytes: Array.isArray(choices)
        ? choices.reduce((sum: number, one) => sum + (isObject(one) ? textBytesOf(one["text"]) : 0), 0)
        : 0,
    }),
    usage: chatUsage,
  },
  stream: () => new ChatStream("text_completion"),
};
