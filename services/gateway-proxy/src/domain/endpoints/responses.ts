import { marksOf } from "../chat-chunk.ts";
import { jsonOutgoing, type Endpoint, type JsonBody, type ParsedRequest, type RequestBody } from "../endpoint.ts";
import {
  anything,
  checkMediaUrl,
  checkedFields,
  flag,
  integer,
  invalid,
  isObject,
  list,
  modelOf,
  number,
  numberOf,
  object,
  outputTokens,
  text,
  textOrList,
  textOrObject,
  unsupported,
  type Fields,
  type Json,
} from "../fields.ts";
import { mayKeepLong } from "../long-cache.ts";
import { textOfParts } from "../request-text.ts";
import type { StreamState } from "../stream-state.ts";
import { textBytesOf, TypedStream, type TypedStreamFormat } from "../typed-stream.ts";
import { inputOutputUsage } from "../usage-objects.ts";
import { tokensFromInputOutput } from "../usage.ts";
import { refuseOtherDialect } from "../wrong-dialect.ts";

/**
 * POST /v1/responses. Input items and tools are not looked into and pass as they came: Codex sends kinds of its own
 * (`additional_tools`, `custom_tool_call_output`, `compaction_trigger`) and new ones each month. What would need the provider
 * to keep something is forced off (`store`) or refused: nothing of a request is stored here, so there is nothing to refer to.
 */

export interface ResponsesRequest extends ParsedRequest {
  readonly source: JsonBody;
  readonly body: Json;
  readonly outputTokensAsked: number | undefined;
  readonly imageUrls: number;
}

/** platform.openai.com/docs/api-reference/responses/create (read 2026-11), and what codex 0.169 sends. */
const fields: Fields = {
  model: text,
  input: textOrList,
  instructions: textOrList,
  stream: flag,
  stream_options: object,
  max_output_tokens: outputTokens,
  max_tool_calls: integer(1, 1_000),
  temperature: number(0, 2),
  top_p: number(0, 1),
  top_logprobs: integer(0, 20),
  tools: list,
  tool_choice: textOrObject,
  parallel_tool_calls: flag,
  reasoning: object,
  text: object,
  include: list,
  truncation: text,
  prompt_cache_key: text,
  prompt_cache_retention: text,
  context_management: anything,
  // Accepted because clients send them; left out upstream (SEC-84).
  user: text,
  safety_identifier: text,
  metadata: object,
  service_tier: text,
  client_metadata: object,
  store: flag,
  // Known, and refused below when they ask for something.
  background: flag,
  previous_response_id: text,
  conversation: textOrObject,
  prompt: object,
};

const withheld = ["user", "safety_identifier", "metadata", "service_tier", "client_metadata", "background"];

function parse(source: RequestBody): ResponsesRequest {
  if (source.kind !== "json") throw invalid("", "The request body must be a JSON object.");
  refuseOtherDialect(source.value, "responses");
  const body = checkedFields(source.value, fields);
  refuseStored(body);
  const model = modelOf(body);
  const { input } = body;
  if (input == null || (Array.isArray(input) && input.length === 0)) {
    throw invalid("input", "You must provide `input`: a text or a list of items.");
  }
  refuseReferences(input);
  return {
    source,
    body,
    model,
    stream: body["stream"] === true,
    outputTokensAsked: numberOf(body["max_output_tokens"]),
    imageUrls: imagesIn(input),
  };
}

function refuseStored(body: Json): void {
  const stateless = "This gateway stores no conversations: send the whole conversation in `input`.";
  if (body["previous_response_id"] != null) throw unsupported("previous_response_id", stateless);
  if (body["conversation"] != null) throw unsupported("conversation", stateless);
  if (body["prompt"] != null) {
    throw unsupported("prompt", "Stored prompts belong to a provider's account; send the text in `instructions`.");
  }
  if (body["background"] === true) {
    throw unsupported("background", "This gateway stores no responses to be fetched later; use `stream`.");
  }
}

/** `@ai-sdk/openai` sends one in place of each earlier answer unless it is told `store: false`; a provider that stored nothing knows none. */
function refuseReferences(input: unknown): void {
  if (!Array.isArray(input)) return;
  const at = input.findIndex((item) => isObject(item) && item["type"] === "item_reference");
  if (at < 0) return;
  throw unsupported(
    `input[${String(at)}]`,
    "An item_reference points at something stored, and this gateway stores nothing: send the item itself. Your client does so when it is set to `store: false`.",
  );
}

function imagesIn(input: unknown): number {
  if (!Array.isArray(input)) return 0;
  return input.reduce((sum: number, item) => {
    if (!isObject(item)) return sum;
    const parts = [item["content"], item["output"]].flatMap((part) => (Array.isArray(part) ? (part as unknown[]) : []));
    const images = parts.filter((part) => isObject(part) && part["type"] === "input_image");
    for (const image of images)
      checkMediaUrl(isObject(image) ? image["image_url"] : undefined, "input[].content[].image_url");
    return sum + images.length;
  }, 0);
}

const headOf = (created: Json | undefined): Json => (isObject(created?.["response"]) ? created["response"] : {});

const format: TypedStreamFormat = {
  eventBytesMax: 4_194_304,
  terminal: ["response.completed", "response.incomplete"],
  terminals: 1,
  prefix: "response.",
  failed: ["response.failed", "error"],
  textMarks: marksOf("delta"),
  holder: (event) => (isObject(event["response"]) ? event["response"] : {}),
  withHolder: (event, response) => ({ ...event, response }),
  usage: inputOutputUsage,
  headType: "response.created",
  atHold: (created, sequence) => ({
    type: "response.incomplete",
    sequence_number: sequence,
    response: { ...headOf(created), status: "incomplete", incomplete_details: { reason: "max_output_tokens" } },
  }),
  // The SDKs read the first, Codex the second.
  cut: (created, sequence, { message, code, param }) => [
    { type: "error", sequence_number: sequence, code, message, param },
    {
      type: "response.failed",
      sequence_number: sequence + 1,
      response: {
        object: "response",
        output: [],
        ...headOf(created),
        status: "failed",
        error: { code, message },
      },
    },
  ],
};

export const responsesEndpoint: Endpoint<ResponsesRequest> = {
  path: "/v1/responses",
  operation: "responses",
  dialect: "openai",
  accepts: ["json"],
  // Switches of the model's behaviour, without which a Codex request does not mean what it says; none identifies anybody.
  forwardedHeaders: ["openai-beta", "x-openai-internal-codex-responses-lite", "x-codex-beta-features"],
  parse,
  bound: ({ source, imageUrls, outputTokensAsked }) => ({
    bodyBytes: source.bytes.length,
    imageUrls,
    outputTokensAsked,
    answers: 1,
    hourCache: mayKeepLong(source.bytes),
  }),
  text: ({ body: { input, instructions, tools, text: textFormat } }) =>
    textOfParts([input, instructions, tools, textFormat], Array.isArray(input) ? input.length : 1),
  outgoing: (request, target) => {
    const changes = new Map<string, unknown>(withheld.map((name) => [name, undefined]));
    if (request.body["store"] !== false) changes.set("store", false);
    if (target.model !== request.model) changes.set("model", target.model);
    if (target.outputTokens !== request.outputTokensAsked) changes.set("max_output_tokens", target.outputTokens);
    return jsonOutgoing(request.source, changes);
  },
  json: {
    problem: (answer) => {
      if (!Array.isArray(answer["output"])) return "answer has no output";
      return answer["status"] === "failed" ? "the response failed" : undefined;
    },
    metered: (answer) => ({
      tokens: tokensFromInputOutput(answer["usage"]),
      answerBytes: textBytesOf(answer["output"]),
    }),
    usage: inputOutputUsage,
  },
  stream: (): StreamState => new TypedStream(format),
};
