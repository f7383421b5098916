import { jsonOutgoing, type Endpoint, type JsonBody, type ParsedRequest, type RequestBody } from "../endpoint.ts";
import {
  anything,
  checkedFields,
  flag,
  integer,
  invalid,
  isObject,
  modelOf,
  object,
  oneOf,
  text,
  textOrList,
  type Fields,
  type Json,
} from "../fields.ts";
import type { Operation } from "../operation.ts";
import { textOfParts } from "../request-text.ts";
import { promptUsage } from "../usage-objects.ts";
import { tokensFromInputOutput } from "../usage.ts";
import type { TokenCounts } from "@codex/contracts";

/**
 * Endpoints that read text and answer with numbers: embeddings, moderations, rerank. There is no answer text to count and no
 * stream; the price is of the input, or by the request.
 */
interface VectorRequest extends ParsedRequest {
  readonly source: JsonBody;
  readonly body: Json;
}

interface VectorApi {
  readonly path: string;
  readonly operation: Operation;
  readonly fields: Fields;
  /** Fields that hold the input; the first is required. */
  readonly inputs: readonly [string, ...string[]];
  readonly modelDefault?: string;
  readonly dropped: readonly string[];
  /** Field of the answer that is a list. */
  readonly results: string;
  readonly tokens: (answer: Json) => TokenCounts | undefined;
  readonly tellsCost: boolean;
}

function vectorEndpoint(api: VectorApi): Endpoint<VectorRequest> {
  return {
    path: api.path,
    operation: api.operation,
    dialect: "openai",
    accepts: ["json"],
    forwardedHeaders: [],
    parse: (source) => parse(api, source),
    bound: ({ source }) => ({
      bodyBytes: source.bytes.length,
      imageUrls: 0,
      outputTokensAsked: undefined,
      answers: 0,
    }),
    text: ({ body }) =>
      textOfParts(
        api.inputs.map((name) => body[name]),
        1,
      ),
    outgoing: ({ source, body, model }, target) => {
      const changes = new Map<string, unknown>(api.dropped.map((name) => [name, undefined]));
      if (target.model !== model || body["model"] == null) changes.set("model", target.model);
      return jsonOutgoing(source, changes);
    },
    json: {
      problem: (answer) => (Array.isArray(answer[api.results]) ? undefined : `answer has no ${api.results}`),
      metered: (answer) => ({ tokens: api.tokens(answer), answerBytes: 0 }),
      usage: promptUsage,
      tellsCost: api.tellsCost,
    },
  };
}

function parse(api: VectorApi, source: RequestBody): VectorRequest {
  if (source.kind !== "json") throw invalid("", "The request body must be a JSON object.");
  const body = checkedFields(source.value, api.fields);
  const model = body["model"] == null && api.modelDefault !== undefined ? api.modelDefault : modelOf(body);
  for (const name of api.inputs) {
    const input = body[name];
    if (input == null || (Array.isArray(input) && input.length === 0) || input === "") {
      throw invalid(name, `You must provide \`${name}\`.`);
    }
  }
  return { source, body, model, stream: false };
}

/**
 * POST /v1/embeddings. `encoding_format` is the client's own: the SDKs ask for base64 and cannot read anything else then.
 * platform.openai.com/docs/api-reference/embeddings/create (read 2026-11), and what Cohere, Jina and Voyage add.
 */
export const embeddingsEndpoint = vectorEndpoint({
  path: "/v1/embeddings",
  operation: "embeddings",
  fields: {
    model: text,
    input: textOrList,
    encoding_format: oneOf("float", "base64"),
    dimensions: integer(1, 65_536),
    user: text,
    input_type: text,
    truncate: anything,
    task: text,
    instruction: text,
  },
  inputs: ["input"],
  dropped: ["user"],
  results: "data",
  tokens: ({ usage }) => tokensFromInputOutput(usage),
  tellsCost: true,
});

/** POST /v1/moderations. Most providers do it for nothing, so the price is by the request if there is one. */
export const moderationsEndpoint = vectorEndpoint({
  path: "/v1/moderations",
  operation: "moderations",
  fields: { model: text, input: (value) => (typeof value === "object" ? undefined : textOrList(value)) },
  inputs: ["input"],
  modelDefault: "omni-moderation-latest",
  dropped: [],
  results: "results",
  tokens: ({ usage }) => (usage === undefined ? undefined : tokensFromInputOutput(usage)),
  // OpenAI's answer has no usage; strict readers of it would not expect any.
  tellsCost: false,
});

/** POST /v1/rerank, in the form that Cohere, Jina, Voyage and vLLM share (docs.cohere.com/reference/rerank, read 2026-11). */
export const rerankEndpoint = vectorEndpoint({
  path: "/v1/rerank",
  operation: "rerank",
  fields: {
    model: text,
    query: (value) => (typeof value === "string" ? undefined : object(value)),
    documents: textOrList,
    top_n: integer(1, 100_000),
    return_documents: flag,
    max_tokens_per_doc: integer(1, 1_000_000),
    max_chunks_per_doc: integer(1, 1_000_000),
    rank_fields: textOrList,
    truncation: flag,
    priority: integer(0, 1_000),
  },
  inputs: ["query", "documents"],
  dropped: ["priority"],
  results: "results",
  // Jina and vLLM say only the total, Cohere says it in `meta`.
  tokens: ({ usage, meta }) => {
    if (isObject(usage)) return tokensFromInputOutput({ prompt_tokens: usage["total_tokens"], ...usage });
    return isObject(meta) ? tokensFromInputOutput(meta["tokens"]) : undefined;
  },
  tellsCost: true,
});
