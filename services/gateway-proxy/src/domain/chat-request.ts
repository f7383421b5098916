import type { Target } from "./endpoint.ts";
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
  object,
  outputTokens,
  text,
  textOrList,
  textOrObject,
  type Fields,
} from "./fields.ts";
import { refuseOtherDialect } from "./wrong-dialect.ts";

/**
 * What the gateway must know of a chat completion request, and the refusal of what it does not know: an unknown field is
 * an error by name, never dropped in silence.
 */

export interface ChatRequest {
  readonly model: string;
  readonly stream: boolean;
  readonly answers: number;
  readonly outputTokensAsked: number | undefined;
  readonly imageUrls: number;
  /** The parsed body; not changed. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** OpenAI's fields (platform.openai.com/docs/api-reference/chat/create, read 2026-11), then common extensions of compatible servers. */
const fields: Fields = {
  model: text,
  messages: list,
  stream: flag,
  stream_options: object,
  n: integer(1, 128),
  max_tokens: outputTokens,
  max_completion_tokens: outputTokens,
  temperature: number(0, 2),
  top_p: number(0, 1),
  frequency_penalty: number(-2, 2),
  presence_penalty: number(-2, 2),
  stop: textOrList,
  seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  tools: list,
  tool_choice: textOrObject,
  parallel_tool_calls: flag,
  functions: list,
  function_call: anything,
  response_format: object,
  logprobs: flag,
  top_logprobs: integer(0, 20),
  logit_bias: object,
  modalities: list,
  audio: object,
  prediction: object,
  reasoning_effort: text,
  verbosity: text,
  web_search_options: object,
  prompt_cache_key: text,
  prompt_cache_retention: text,
  // Accepted because every SDK may send them; overwritten or left out upstream (SEC-84).
  user: text,
  safety_identifier: text,
  metadata: object,
  store: flag,
  service_tier: text,
  // Extensions that vLLM, DeepSeek, Qwen, Mistral and OpenRouter document.
  top_k: integer(-1, 1_000_000),
  min_p: number(0, 1),
  repetition_penalty: number(0, 10),
  reasoning: object,
  thinking: object,
  enable_thinking: flag,
  chat_template_kwargs: object,
  safe_prompt: flag,
};

const roles = new Set(["system", "developer", "user", "assistant", "tool", "function"]);

/** Throws AppError (kind `invalid`) that names the first field at fault. */
export function parseChatRequest(value: unknown): ChatRequest {
  refuseOtherDialect(value, "chat");
  const body = checkedFields(value, fields);
  const model = modelOf(body);
  const { messages } = body;
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalid("messages", "You must provide at least one message in `messages`.");
  }
  const imageUrls = messages.reduce((sum: number, message, index) => sum + checkMessage(message, index), 0);
  return {
    model,
    stream: body["stream"] === true,
    answers: typeof body["n"] === "number" ? body["n"] : 1,
    outputTokensAsked: outputTokensAsked(body),
    imageUrls,
    body,
  };
}

function outputTokensAsked(body: Readonly<Record<string, unknown>>): number | undefined {
  const asked = body["max_completion_tokens"] ?? body["max_tokens"];
  return typeof asked === "number" ? asked : undefined;
}

/** Returns how many images the message refers to by URL. */
function checkMessage(message: unknown, index: number): number {
  const at = `messages[${index}]`;
  if (!isObject(message)) throw invalid(at, `Invalid type for '${at}': expected an object.`);
  const role = message["role"];
  if (typeof role !== "string" || !roles.has(role)) {
    throw invalid(`${at}.role`, `Invalid value for '${at}.role': expected one of ${[...roles].join(", ")}.`);
  }
  const content = message["content"];
  if (content === undefined || content === null || typeof content === "string") return 0;
  if (!Array.isArray(content)) {
    throw invalid(`${at}.content`, `Invalid type for '${at}.content': expected a string or an array of parts.`);
  }
  return content.reduce((sum: number, part, partIndex) => {
    if (!isObject(part) || typeof part["type"] !== "string") {
      throw invalid(
        `${at}.content[${partIndex}]`,
        `Invalid part '${at}.content[${partIndex}]': expected an object with a type.`,
      );
    }
    const image = part["image_url"];
    checkMediaUrl(isObject(image) ? image["url"] : image, `${at}.content[${partIndex}].image_url`);
    return part["type"] === "image_url" || part["type"] === "input_image" ? sum + 1 : sum;
  }, 0);
}

/** Fields that redirect, store or identify; the upstream never sees the customer's values (SEC-84). */
export const withheld = ["user", "safety_identifier", "metadata", "store", "service_tier"];

/** What the upstream gets otherwise: its own model name, the hold's output bound, usage always reported. */
export function upstreamChanges(request: ChatRequest, target: Target): ReadonlyMap<string, unknown> {
  const changes = new Map<string, unknown>(withheld.map((name) => [name, undefined]));
  if (target.model !== request.model) changes.set("model", target.model);
  // One bound under the name the client used; servers differ in which one they know, and refuse both.
  const both = request.body["max_tokens"] != null && request.body["max_completion_tokens"] != null;
  if (both) changes.set("max_tokens", undefined);
  if (request.outputTokensAsked !== target.outputTokens) {
    const older = request.body["max_tokens"] != null && !both;
    changes.set(older ? "max_tokens" : "max_completion_tokens", target.outputTokens);
  }
  const options = request.body["stream_options"];
  const asksUsage = isObject(options) && options["include_usage"] === true;
  if (request.stream && !asksUsage) {
    changes.set("stream_options", { ...(isObject(options) ? options : {}), include_usage: true });
  }
  return changes;
}
