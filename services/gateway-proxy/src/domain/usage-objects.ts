import { promptTokensOf, type TokenCounts } from "@codex/contracts";
import type { Json } from "./fields.ts";

/** The dialects' usage objects made from our own counts, for an upstream that sent none. */

export function chatUsage(tokens: TokenCounts): Json {
  const prompt = promptTokensOf(tokens);
  const completion = tokens.output + tokens.reasoning;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: tokens.cachedInput },
    completion_tokens_details: { reasoning_tokens: tokens.reasoning },
  };
}

/** Of Responses, Images and audio. */
export function inputOutputUsage(tokens: TokenCounts): Json {
  const input = promptTokensOf(tokens);
  const output = tokens.output + tokens.reasoning;
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: tokens.cachedInput,
      cache_write_tokens: tokens.cacheWrite + tokens.cacheWrite1h,
    },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: tokens.reasoning },
    total_tokens: input + output,
  };
}

/** Of Embeddings, which have no completion. */
export function promptUsage(tokens: TokenCounts): Json {
  const prompt = promptTokensOf(tokens);
  return { prompt_tokens: prompt, total_tokens: prompt };
}

export function messagesUsage(tokens: TokenCounts): Json {
  return {
    input_tokens: tokens.input,
    cache_creation_input_tokens: tokens.cacheWrite + tokens.cacheWrite1h,
    cache_read_input_tokens: tokens.cachedInput,
    output_tokens: tokens.output + tokens.reasoning,
  };
}
