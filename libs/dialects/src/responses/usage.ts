import type { JsonObject } from "../model/dialect.ts";
import { objectOr } from "../model/parse-data.ts";
import { answerTokens, promptTokens, usageOfTotals, type Usage } from "../model/usage.ts";

export function responsesUsageIn(value: unknown): Usage | undefined {
  const usage = objectOr(value);
  const input = objectOr(usage["input_tokens_details"]);
  return usageOfTotals({
    prompt: usage["input_tokens"],
    answer: usage["output_tokens"],
    cached: input["cached_tokens"],
    written: input["cache_write_tokens"],
    writtenLong: objectOr(input["cache_write_tokens_details"])["ttl_12h_tokens"],
    reasoning: objectOr(usage["output_tokens_details"])["reasoning_tokens"],
  });
}

/** The two lifetimes of a cache are the short and the long one of each provider (30 m and 12 h here). */
export function responsesUsageOut(usage: Usage): JsonObject {
  return {
    input_tokens: promptTokens(usage),
    input_tokens_details: {
      cached_tokens: usage.cachedInput,
      cache_write_tokens: usage.cacheWrite + usage.cacheWrite1h,
      cache_write_tokens_details: { ttl_30m_tokens: usage.cacheWrite, ttl_12h_tokens: usage.cacheWrite1h },
    },
    output_tokens: answerTokens(usage),
    output_tokens_details: { reasoning_tokens: usage.reasoning },
    total_tokens: promptTokens(usage) + answerTokens(usage),
  };
}
