import type { TokenCounts } from "@codex/contracts";

/**
 * Upstream usage is data, not truth (SEC-105): what is missing, negative, fractional, absurd or of another type is not
 * believed; an explicit 0 means 0.
 */

/** Above this a count is a lie or a bug: no model of 2026 answers or reads that much in one request. */
export const believableTokensMax = 100_000_000;

export const noTokens: TokenCounts = {
  input: 0,
  cachedInput: 0,
  cacheWrite: 0,
  cacheWrite1h: 0,
  output: 0,
  reasoning: 0,
};

function believable(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= believableTokensMax
    ? value
    : undefined;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

/**
 * OpenAI's `usage` object to disjoint classes; undefined when the two totals are not both believable. Details that are
 * larger than their total are ignored: they could only move tokens into another class, never add any.
 * Fields: platform.openai.com/docs/api-reference/chat/object (read 2026-11).
 */
export function tokensFromOpenAiUsage(usage: unknown): TokenCounts | undefined {
  const fields = record(usage);
  const prompt = believable(fields["prompt_tokens"]);
  const completion = believable(fields["completion_tokens"]);
  if (prompt === undefined || completion === undefined) return undefined;
  const promptDetails = record(fields["prompt_tokens_details"]);
  const completionDetails = record(fields["completion_tokens_details"]);
  const cached = believable(promptDetails["cached_tokens"]) ?? 0;
  // OpenRouter says cache_write_tokens, LiteLLM cache_creation_tokens and how many of them are kept for an hour.
  const written =
    believable(promptDetails["cache_write_tokens"]) ?? believable(promptDetails["cache_creation_tokens"]) ?? 0;
  const hour = believable(record(promptDetails["cache_creation_token_details"])["ephemeral_1h_input_tokens"]) ?? 0;
  const reasoning = believable(completionDetails["reasoning_tokens"]) ?? 0;
  const detailsFit = cached + written <= prompt;
  const reasoningFits = reasoning <= completion;
  return {
    input: detailsFit ? prompt - cached - written : prompt,
    cachedInput: detailsFit ? cached : 0,
    cacheWrite: detailsFit ? written - Math.min(hour, written) : 0,
    cacheWrite1h: detailsFit ? Math.min(hour, written) : 0,
    output: reasoningFits ? completion - reasoning : completion,
    reasoning: reasoningFits ? reasoning : 0,
  };
}

/**
 * The `usage` of Responses, Images, audio and embeddings: input and output by their newer names, or OpenAI's older ones.
 * `cache_write_tokens` is required beside `cached_tokens` since 2026-08 (openai-openapi, ResponseUsage).
 */
export function tokensFromInputOutput(usage: unknown): TokenCounts | undefined {
  const fields = record(usage);
  if (fields["input_tokens"] === undefined) {
    // Embeddings and the like report a prompt and no completion.
    return tokensFromOpenAiUsage({ completion_tokens: 0, ...fields });
  }
  return tokensFromOpenAiUsage({
    prompt_tokens: fields["input_tokens"],
    completion_tokens: fields["output_tokens"] ?? 0,
    prompt_tokens_details: inputDetails(fields["input_tokens_details"]),
    completion_tokens_details: fields["output_tokens_details"],
  });
}

/** Of what is written to the cache, OpenAI names the share that is kept for twelve hours (openai-openapi, 2026-11). */
function inputDetails(details: unknown): Readonly<Record<string, unknown>> {
  const fields = record(details);
  const long = record(fields["cache_write_tokens_details"])["ttl_12h_tokens"];
  return { ...fields, cache_creation_token_details: { ephemeral_1h_input_tokens: long } };
}

/**
 * Anthropic's `usage`: input, cache reads and cache writes are disjoint already; output includes thinking. The hour's share
 * of the writes and thinking's share of the output are details (platform.claude.com/docs/en/build-with-claude/prompt-caching, read 2026-11).
 */
export function tokensFromAnthropicUsage(usage: unknown): TokenCounts | undefined {
  const fields = record(usage);
  const input = believable(fields["input_tokens"]);
  const output = believable(fields["output_tokens"]);
  const read = believable(fields["cache_read_input_tokens"] ?? 0);
  const written = believable(fields["cache_creation_input_tokens"] ?? 0);
  if (input === undefined || output === undefined || read === undefined || written === undefined) return undefined;
  const hour = Math.min(believable(record(fields["cache_creation"])["ephemeral_1h_input_tokens"]) ?? 0, written);
  const thinking = believable(record(fields["output_tokens_details"])["thinking_tokens"]) ?? 0;
  const reasoning = thinking <= output ? thinking : 0;
  return {
    input,
    cachedInput: read,
    cacheWrite: written - hour,
    cacheWrite1h: hour,
    output: output - reasoning,
    reasoning,
  };
}

/** Bytes a model token stands for when nobody counted: near the average of English prose and of Cyrillic text in UTF-8. */
const bytesPerToken = 4;

/** The count we stand in with when the upstream reports none; the usage line is then marked as estimated. */
export function estimateTokens(bytes: number): number {
  return Math.ceil(bytes / bytesPerToken);
}
