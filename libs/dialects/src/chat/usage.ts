import type { JsonObject } from "../model/dialect.ts";
import { objectOr } from "../model/parse-data.ts";
import { answerTokens, promptTokens, usageOfTotals, type Usage } from "../model/usage.ts";

/** The spelling of LiteLLM for writes that are kept for an hour; OpenAI has no class for them in chat. */
const longWrites = "cache_creation_token_details";

export function chatUsageIn(value: unknown): Usage | undefined {
  const usage = objectOr(value);
  const prompt = objectOr(usage["prompt_tokens_details"]);
  return usageOfTotals({
    prompt: usage["prompt_tokens"],
    answer: usage["completion_tokens"],
    cached: prompt["cached_tokens"],
    written: prompt["cache_write_tokens"] ?? prompt["cache_creation_tokens"],
    writtenLong: objectOr(prompt[longWrites])["ephemeral_1h_input_tokens"],
    reasoning: objectOr(usage["completion_tokens_details"])["reasoning_tokens"],
  });
}

export function chatUsageOut(usage: Usage): JsonObject {
  const long =
    usage.cacheWrite1h === 0
      ? {}
      : {
          [longWrites]: {
            ephemeral_5m_input_tokens: usage.cacheWrite,
            ephemeral_1h_input_tokens: usage.cacheWrite1h,
          },
        };
  return {
    prompt_tokens: promptTokens(usage),
    completion_tokens: answerTokens(usage),
    total_tokens: promptTokens(usage) + answerTokens(usage),
    prompt_tokens_details: {
      cached_tokens: usage.cachedInput,
      cache_write_tokens: usage.cacheWrite + usage.cacheWrite1h,
      ...long,
    },
    completion_tokens_details: { reasoning_tokens: usage.reasoning },
  };
}
