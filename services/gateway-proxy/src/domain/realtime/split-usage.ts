import type { TokenCounts } from "@codex/contracts";
import { isObject, type Json } from "../fields.ts";
import { believableTokensMax, noTokens } from "../usage.ts";

/** Tokens of one response: text with pictures, and sound, which has a price of its own. */
export interface SplitTokens {
  readonly text: TokenCounts;
  readonly audio: TokenCounts;
}

const record = (value: unknown): Json => (isObject(value) ? value : {});

function countOf(value: unknown): number | undefined {
  if (value === undefined || value === null) return 0;
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= believableTokensMax
    ? value
    : undefined;
}

/** Between 0 and `most`; what is not a number is 0. */
const partOf = (value: unknown, most: number): number => Math.min(countOf(value) ?? 0, most);

/**
 * The `usage` of `response.done` (`RealtimeResponseUsage` of openai 7.57). Undefined when the totals, or the shares of sound in
 * them, are not believable: as everywhere, the upstream's numbers are data (SEC-105). Input that is not sound is text; details
 * can move tokens between the two and into the cache, never add any.
 */
export function splitUsage(usage: unknown): SplitTokens | undefined {
  if (!isObject(usage)) return undefined;
  const input = usage["input_tokens"] === undefined ? undefined : countOf(usage["input_tokens"]);
  const output = usage["output_tokens"] === undefined ? undefined : countOf(usage["output_tokens"]);
  const inputDetails = record(usage["input_token_details"]);
  const outputDetails = record(usage["output_token_details"]);
  const heard = countOf(inputDetails["audio_tokens"]);
  const spoken = countOf(outputDetails["audio_tokens"]);
  if (input === undefined || output === undefined || heard === undefined || spoken === undefined) return undefined;
  if (heard > input || spoken > output) return undefined;
  const cached = partOf(inputDetails["cached_tokens"], input);
  const cachedDetails = record(inputDetails["cached_tokens_details"]);
  const cachedAudio = partOf(cachedDetails["audio_tokens"], Math.min(heard, cached));
  // What is left of the cached ones can only be as many as there is text; the rest is charged as not cached.
  const cachedText = Math.min(cached - cachedAudio, input - heard);
  return {
    text: { ...noTokens, input: input - heard - cachedText, cachedInput: cachedText, output: output - spoken },
    audio: { ...noTokens, input: heard - cachedAudio, cachedInput: cachedAudio, output: spoken },
  };
}

export function hasTokens(tokens: TokenCounts): boolean {
  return Object.values(tokens).some((count) => count > 0);
}
