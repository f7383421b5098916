/** Tokens that are priced apart; each token is in exactly one class. */
export interface TokenClasses {
  readonly input: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
  readonly cacheWrite1h: number;
  readonly output: number;
  readonly reasoning: number;
}

type Counts = Readonly<Record<string, number | undefined>>;
const countsOf = (value: unknown): Counts => (value ?? {}) as Counts;

/**
 * What a usage object of this upstream says, in any of the dialects: for those who hold a charge against the journal. It believes
 * every number, so it is not for the usage of the faults.
 */
export function tokenClasses(usage: Readonly<Record<string, unknown>>): TokenClasses {
  const total = countsOf(usage);
  const written = countsOf(usage["cache_creation"]);
  const read = total["cache_read_input_tokens"] ?? 0;
  const cached = countsOf(usage["prompt_tokens_details"] ?? usage["input_tokens_details"])["cached_tokens"] ?? 0;
  const reasoning =
    countsOf(usage["completion_tokens_details"] ?? usage["output_tokens_details"])["reasoning_tokens"] ?? 0;
  return {
    // OpenAI's input holds what came from the cache, Anthropic's does not.
    input: (total["prompt_tokens"] ?? total["input_tokens"] ?? 0) - cached,
    cachedInput: cached + read,
    cacheWrite: written["ephemeral_5m_input_tokens"] ?? 0,
    cacheWrite1h: written["ephemeral_1h_input_tokens"] ?? 0,
    output: (total["completion_tokens"] ?? total["output_tokens"] ?? 0) - reasoning,
    reasoning,
  };
}
