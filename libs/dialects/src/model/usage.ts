/**
 * Model tokens by class, disjoint: a token is counted in exactly one. The names are those of the price book's classes.
 *   input         neither read from a cache nor written to one
 *   cacheWrite    written to a cache for minutes (messages 5 m, OpenAI 30 m)
 *   cacheWrite1h  written for long (messages 1 h, OpenAI 12 h)
 *   output        without reasoning
 */
export interface Usage {
  readonly input: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
  readonly cacheWrite1h: number;
  readonly output: number;
  readonly reasoning: number;
}

export const noUsage: Usage = { input: 0, cachedInput: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };

/** Above this a count is a lie or a bug: no model of 2026 reads or writes that much in one request. */
const believableTokensMax = 100_000_000;

/** A provider's count is data, not truth (SEC-105): what is negative, fractional, absurd or of another type is no count. */
export function tokenCount(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= believableTokensMax
    ? value
    : undefined;
}

export function promptTokens(usage: Usage): number {
  return usage.input + usage.cachedInput + usage.cacheWrite + usage.cacheWrite1h;
}

export function answerTokens(usage: Usage): number {
  return usage.output + usage.reasoning;
}

/**
 * Splits totals into classes. Details that are larger than their total are ignored: they could only move tokens into
 * another class, never add any. Undefined when a total is no count.
 */
export function usageOfTotals(counts: {
  readonly prompt: unknown;
  readonly answer: unknown;
  readonly cached?: unknown;
  readonly written?: unknown;
  readonly writtenLong?: unknown;
  readonly reasoning?: unknown;
}): Usage | undefined {
  const prompt = tokenCount(counts.prompt);
  const answer = tokenCount(counts.answer);
  if (prompt === undefined || answer === undefined) return undefined;
  const cached = tokenCount(counts.cached) ?? 0;
  const written = tokenCount(counts.written) ?? 0;
  const long = Math.min(tokenCount(counts.writtenLong) ?? 0, written);
  const reasoning = tokenCount(counts.reasoning) ?? 0;
  const fits = cached + written <= prompt;
  const reasoningFits = reasoning <= answer;
  return {
    input: fits ? prompt - cached - written : prompt,
    cachedInput: fits ? cached : 0,
    cacheWrite: fits ? written - long : 0,
    cacheWrite1h: fits ? long : 0,
    output: reasoningFits ? answer - reasoning : answer,
    reasoning: reasoningFits ? reasoning : 0,
  };
}
