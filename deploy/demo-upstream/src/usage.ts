/**
 * How the demo upstream counts tokens. Pure: the same input and output text always give the same counts, so a test can
 * compute by itself what a receipt must show.
 *
 * Glossary
 *   item    one thing in the prompt that is counted apart: a message, the system prompt, a tool definition
 *   media   a non-text part of a message (image, audio, file); counted at a flat rate, its bytes are not text
 *
 * The rules
 *   text            ceil(UTF-8 bytes / 4)
 *   prompt          3 + Σ items (4 + text + 85 × media)
 *   tool call       4 + text(name) + text(arguments)
 *   completion      Σ choices (text(reasoning) + text(answer) + Σ tool calls)
 *   cached prompt   see {@link openAiCacheSplit} and {@link anthropicCacheSplit}
 *   image           ceil(width / 32) × ceil(height / 32) × quality (low ¼, medium 1, high 4), rounded up
 */

export const bytesPerToken = 4;
export const promptOverheadTokens = 3;
export const itemOverheadTokens = 4;
export const mediaTokens = 85;
export const toolCallOverheadTokens = 4;
/** Shortest prefix a provider caches (OpenAI and Anthropic documentation, 2026-11). */
export const cacheableTokensMin = 1_024;
/** OpenAI caches in steps of this many tokens. */
export const cacheStepTokens = 128;

export type CacheTtl = "5m" | "1h";

export interface PromptItem {
  readonly role: string;
  readonly text: string;
  readonly media: number;
  /** Set when the item carries Anthropic's `cache_control`. */
  readonly cacheTtl?: CacheTtl;
}

export interface CountedToolCall {
  readonly name: string;
  readonly argumentsJson: string;
}

export interface CountedChoice {
  readonly reasoning: string;
  readonly text: string;
  readonly toolCalls: readonly CountedToolCall[];
}

/** Tokens of one answer. `cacheRead`, `cacheWrite5m` and `cacheWrite1h` are parts of `prompt`; `reasoning` of `completion`. */
export interface Usage {
  readonly prompt: number;
  readonly cacheRead: number;
  readonly cacheWrite5m: number;
  readonly cacheWrite1h: number;
  readonly completion: number;
  readonly reasoning: number;
}

export interface CacheSplit {
  readonly cacheRead: number;
  readonly cacheWrite5m: number;
  readonly cacheWrite1h: number;
}

export const noCache: CacheSplit = { cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0 };

/** 0 for the empty text. */
export function textTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text, "utf8") / bytesPerToken);
}

export function itemTokens(item: PromptItem): number {
  return itemOverheadTokens + textTokens(item.text) + mediaTokens * item.media;
}

export function promptTokens(items: readonly PromptItem[]): number {
  return items.reduce((sum, item) => sum + itemTokens(item), promptOverheadTokens);
}

export function toolCallTokens(call: CountedToolCall): number {
  return toolCallOverheadTokens + textTokens(call.name) + textTokens(call.argumentsJson);
}

export function choiceTokens(choice: CountedChoice): number {
  const calls = choice.toolCalls.reduce((sum, call) => sum + toolCallTokens(call), 0);
  return textTokens(choice.reasoning) + textTokens(choice.text) + calls;
}

export function usageOf(items: readonly PromptItem[], choices: readonly CountedChoice[], cache: CacheSplit): Usage {
  return {
    prompt: promptTokens(items),
    ...cache,
    completion: choices.reduce((sum, choice) => sum + choiceTokens(choice), 0),
    reasoning: choices.reduce((sum, choice) => sum + textTokens(choice.reasoning), 0),
  };
}

/**
 * The longest head of `text` that counts at most `tokens`, never splitting a code point. When it is shorter than `text`
 * it counts exactly `tokens`, because a code point is at most four bytes: what providers report for `length`.
 */
export function truncateToTokens(text: string, tokens: number): string {
  const bytesMax = tokens * bytesPerToken;
  if (Buffer.byteLength(text, "utf8") <= bytesMax) return text;
  // No code point in the head is cut: a read that stops inside one would leave a replacement character.
  const bytes = Buffer.from(text, "utf8");
  let end = Math.max(0, Math.floor(bytesMax));
  while (end > 0 && ((bytes[end] ?? 0) & 0b1100_0000) === 0b1000_0000) end -= 1;
  return bytes.toString("utf8", 0, end);
}

/**
 * OpenAI caches by itself. Here a later turn (an assistant message is already in the prompt) reads everything before its
 * last item, down to a multiple of 128 tokens and only from 1,024 on; a first turn reads nothing.
 */
export function openAiCacheSplit(items: readonly PromptItem[]): CacheSplit {
  if (!isLaterTurn(items)) return noCache;
  const before = promptTokens(items.slice(0, -1));
  if (before < cacheableTokensMin) return noCache;
  return { ...noCache, cacheRead: Math.floor(before / cacheStepTokens) * cacheStepTokens };
}

/**
 * Anthropic caches up to the last item marked with `cache_control`, from 1,024 tokens on. A first turn writes that prefix
 * (with the marker's time to live), a later one reads it.
 */
export function anthropicCacheSplit(items: readonly PromptItem[]): CacheSplit {
  const last = items.findLastIndex((item) => item.cacheTtl !== undefined);
  if (last < 0) return noCache;
  const prefix = promptTokens(items.slice(0, last + 1));
  if (prefix < cacheableTokensMin) return noCache;
  if (isLaterTurn(items)) return { ...noCache, cacheRead: prefix };
  return items[last]?.cacheTtl === "1h" ? { ...noCache, cacheWrite1h: prefix } : { ...noCache, cacheWrite5m: prefix };
}

function isLaterTurn(items: readonly PromptItem[]): boolean {
  return items.some((item) => item.role === "assistant");
}

export type ImageQuality = "low" | "medium" | "high";
const qualityQuarters = { low: 1, medium: 4, high: 16 } as const satisfies Record<ImageQuality, number>;

/** Output tokens of one generated image. */
export function imageTokens(width: number, height: number, quality: ImageQuality): number {
  return Math.ceil((Math.ceil(width / 32) * Math.ceil(height / 32) * qualityQuarters[quality]) / 4);
}
