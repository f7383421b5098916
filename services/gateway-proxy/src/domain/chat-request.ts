import { AppError } from "@codex/kernel";

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

type Check = (value: unknown) => string | undefined;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const text: Check = (value) => (typeof value === "string" ? undefined : "a string");
const flag: Check = (value) => (typeof value === "boolean" ? undefined : "a boolean");
const object: Check = (value) => (isObject(value) ? undefined : "an object");
const list: Check = (value) => (Array.isArray(value) ? undefined : "an array");
const anything: Check = () => undefined;
const number =
  (min: number, max: number): Check =>
  (value) =>
    typeof value === "number" && value >= min && value <= max ? undefined : `a number from ${min} to ${max}`;
const integer =
  (min: number, max: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max
      ? undefined
      : `an integer from ${min} to ${max}`;

const outputTokens = integer(1, 10_000_000);

/** OpenAI's fields (platform.openai.com/docs/api-reference/chat/create, read 2026-11), then common extensions of compatible servers. */
const fields: Readonly<Record<string, Check>> = {
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
  stop: (value) => (typeof value === "string" || Array.isArray(value) ? undefined : "a string or an array of strings"),
  seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  tools: list,
  tool_choice: (value) => (typeof value === "string" || isObject(value) ? undefined : "a string or an object"),
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
  // Accepted because every SDK may send them; left out upstream (SEC-84, upstream/outgoing.ts).
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

function invalid(param: string, message: string, code = "invalid_request"): AppError {
  return new AppError({ kind: "invalid", code, publicMessage: message, param });
}

/** Throws AppError (kind `invalid`) that names the first field at fault. */
export function parseChatRequest(body: unknown): ChatRequest {
  if (!isObject(body)) throw invalid("", "The request body must be a JSON object.");
  for (const [name, value] of Object.entries(body)) checkField(name, value);
  const { model, messages } = body;
  if (typeof model !== "string" || model === "") throw invalid("model", "You must provide a model.");
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

function checkField(name: string, value: unknown): void {
  const check = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (!check) {
    throw invalid(
      name,
      `Unknown parameter: '${name.slice(0, 64)}'. Remove it, or check its spelling.`,
      "unknown_parameter",
    );
  }
  // SDKs send null for "not set"; only the two required fields may not be null, and they are checked on their own.
  const expected = value === null ? undefined : check(value);
  if (expected !== undefined) throw invalid(name, `Invalid type for '${name}': expected ${expected}.`);
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
    return part["type"] === "image_url" || part["type"] === "input_image" ? sum + 1 : sum;
  }, 0);
}

/** The body as the upstream gets it: its own model name and the hold's output bound. A new object each time. */
export function upstreamBody(
  request: ChatRequest,
  upstreamModel: string,
  outputTokens: number,
): Record<string, unknown> {
  // One bound under the name the client used; servers differ in which one they know.
  const boundName = request.body["max_tokens"] != null ? "max_tokens" : "max_completion_tokens";
  return { ...request.body, model: upstreamModel, [boundName]: outputTokens };
}
