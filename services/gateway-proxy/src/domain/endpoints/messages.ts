import {
  jsonOutgoing,
  type ClientHeaders,
  type Endpoint,
  type JsonBody,
  type ParsedRequest,
  type RequestBody,
} from "../endpoint.ts";
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
import { MessageStream } from "../message-stream.ts";
import { textOfParts } from "../request-text.ts";
import { textBytesOf } from "../typed-stream.ts";
import { messagesUsage } from "../usage-objects.ts";
import { tokensFromAnthropicUsage } from "../usage.ts";
import { refuseOtherDialect } from "../wrong-dialect.ts";

/**
 * POST /v1/messages. Content blocks are not looked into and pass as they came: Claude Code sends system messages in the middle
 * and tools that are loaded later. The client's `anthropic-version` and `anthropic-beta` go with it, whatever they are.
 */

export interface MessagesRequest extends ParsedRequest {
  readonly source: JsonBody;
  readonly body: Json;
  readonly outputTokensAsked: number | undefined;
  readonly images: number;
  readonly hourCache: boolean;
}

/** platform.claude.com/docs/en/api/messages (read 2026-11) with the betas that claude-code 2.1.330 switches on. */
export const countFields: Fields = {
  model: text,
  messages: list,
  system: textOrList,
  tools: list,
  tool_choice: object,
  thinking: object,
  output_config: object,
  output_format: object,
  context_management: object,
  cache_control: object,
  mcp_servers: list,
  betas: list,
};

const fields: Fields = {
  ...countFields,
  max_tokens: outputTokens,
  stream: flag,
  stop_sequences: list,
  temperature: number(0, 1),
  top_p: number(0, 1),
  top_k: integer(0, 1_000_000),
  // Accepted because clients send them; left out upstream (SEC-84).
  metadata: object,
  service_tier: text,
  user_profile_id: text,
  // Known, and refused below: each changes where or at what price the request is served.
  container: textOrObject,
  inference_geo: text,
  speed: text,
  diagnostics: anything,
};

export const withheldFields = ["metadata", "service_tier", "user_profile_id", "diagnostics", "betas"];

export const anthropicHeaders = ["anthropic-version", "anthropic-beta"];

function parse(source: RequestBody, headers: ClientHeaders): MessagesRequest {
  if (source.kind !== "json") throw invalid("", "The request body must be a JSON object.");
  refuseOtherDialect(source.value, "messages");
  const body = checkedFields(source.value, fields);
  const model = modelOf(body);
  checkMessages(body);
  if (body["max_tokens"] == null) throw invalid("max_tokens", "max_tokens: Field required");
  if (body["container"] != null) {
    throw unsupported("container", "Containers are kept by the provider, and this gateway stores nothing.");
  }
  if (body["speed"] != null && body["speed"] !== "standard") {
    throw unsupported("speed", "Only the standard speed has a price here.");
  }
  if (body["inference_geo"] != null) throw unsupported("inference_geo", "The operator decides where models run.");
  return {
    source,
    body,
    model,
    stream: body["stream"] === true,
    outputTokensAsked: numberOf(body["max_tokens"]),
    images: imagesIn(body["messages"]),
    hourCache: mayKeepLong(source.bytes, headers),
  };
}

export function checkMessages(body: Json): void {
  const { messages } = body;
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalid("messages", "messages: at least one message is required");
  }
  const wrong = messages.findIndex((one) => !isObject(one) || typeof one["role"] !== "string");
  if (wrong >= 0) throw invalid(`messages.${wrong}`, `messages.${wrong}: expected an object with a role`);
}

/** Pictures anywhere in the messages, also inside tool results. */
function imagesIn(value: unknown, depth = 0): number {
  if (depth > 8 || typeof value !== "object" || value === null) return 0;
  const own = "type" in value && value.type === "image" && "source" in value ? 1 : 0;
  if ("source" in value && isObject(value.source) && value.source["type"] === "url") {
    checkMediaUrl(value.source["url"], "messages.content.source.url");
  }
  return Object.values(value).reduce((sum: number, inner) => sum + imagesIn(inner, depth + 1), own);
}

export const messagesEndpoint: Endpoint<MessagesRequest> = {
  path: "/v1/messages",
  operation: "messages",
  dialect: "anthropic",
  accepts: ["json"],
  forwardedHeaders: anthropicHeaders,
  parse,
  bound: ({ source, images, outputTokensAsked, hourCache }) => ({
    bodyBytes: source.bytes.length,
    imageUrls: images,
    outputTokensAsked,
    answers: 1,
    hourCache,
  }),
  text: ({ body: { messages, system, tools } }) =>
    textOfParts([system, tools, messages], Array.isArray(messages) ? messages.length : 0),
  outgoing: (request, target) => {
    const changes = new Map<string, unknown>(withheldFields.map((name) => [name, undefined]));
    if (target.model !== request.model) changes.set("model", target.model);
    if (target.outputTokens !== request.outputTokensAsked) changes.set("max_tokens", target.outputTokens);
    return jsonOutgoing(request.source, changes);
  },
  json: {
    problem: (answer) => (Array.isArray(answer["content"]) ? undefined : "answer has no content"),
    metered: (answer) => ({
      tokens: tokensFromAnthropicUsage(answer["usage"]),
      answerBytes: textBytesOf(answer["content"]),
    }),
    usage: messagesUsage,
  },
  stream: () => new MessageStream(),
};
