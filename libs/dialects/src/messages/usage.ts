import type { JsonObject } from "../model/dialect.ts";
import { objectOr } from "../model/parse-data.ts";
import { answerTokens, tokenCount, type Usage } from "../model/usage.ts";

/**
 * `input_tokens` leaves the cached ones out, `output_tokens` holds the reasoning. A stream says its usage twice, growing:
 * what the later object leaves out stands in the earlier.
 */
export function messagesUsageIn(value: unknown, earlier: unknown = {}): Usage | undefined {
  const first = objectOr(earlier);
  const later = objectOr(value);
  const field = (name: string): unknown => later[name] ?? first[name];
  const input = tokenCount(field("input_tokens"));
  const output = tokenCount(field("output_tokens"));
  const cached = tokenCount(field("cache_read_input_tokens") ?? 0);
  const written = tokenCount(field("cache_creation_input_tokens") ?? 0);
  // Prices differ by class: a count with one class that cannot be believed is none.
  if (input === undefined || output === undefined || cached === undefined || written === undefined) return undefined;
  const long = Math.min(tokenCount(objectOr(field("cache_creation"))["ephemeral_1h_input_tokens"]) ?? 0, written);
  const reasoning = tokenCount(objectOr(field("output_tokens_details"))["thinking_tokens"]) ?? 0;
  const fits = reasoning <= output;
  return {
    input,
    cachedInput: cached,
    cacheWrite: written - long,
    cacheWrite1h: long,
    output: fits ? output - reasoning : output,
    reasoning: fits ? reasoning : 0,
  };
}

export function messagesUsageOut(usage: Usage): JsonObject {
  return {
    input_tokens: usage.input,
    cache_creation_input_tokens: usage.cacheWrite + usage.cacheWrite1h,
    cache_read_input_tokens: usage.cachedInput,
    cache_creation: {
      ephemeral_5m_input_tokens: usage.cacheWrite,
      ephemeral_1h_input_tokens: usage.cacheWrite1h,
    },
    output_tokens: answerTokens(usage),
    output_tokens_details: { thinking_tokens: usage.reasoning },
  };
}
