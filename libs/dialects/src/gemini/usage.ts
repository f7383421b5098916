import type { JsonObject } from "../model/dialect.ts";
import { objectOr } from "../model/parse-data.ts";
import { answerTokens, promptTokens, tokenCount, usageOfTotals, type Usage } from "../model/usage.ts";

/** `candidatesTokenCount` leaves the reasoning out and is absent for an empty answer; results of tools count as prompt. */
export function geminiUsageIn(value: unknown): Usage | undefined {
  const usage = objectOr(value);
  const prompt = tokenCount(usage["promptTokenCount"]);
  const output = tokenCount(usage["candidatesTokenCount"] ?? 0);
  const reasoning = tokenCount(usage["thoughtsTokenCount"] ?? 0);
  const tools = tokenCount(usage["toolUsePromptTokenCount"] ?? 0);
  if (prompt === undefined || output === undefined || reasoning === undefined || tools === undefined) return undefined;
  return usageOfTotals({
    prompt: prompt + tools,
    answer: output + reasoning,
    cached: usage["cachedContentTokenCount"],
    reasoning,
  });
}

export function geminiUsageOut(usage: Usage): JsonObject {
  return {
    promptTokenCount: promptTokens(usage),
    ...(usage.cachedInput === 0 ? {} : { cachedContentTokenCount: usage.cachedInput }),
    candidatesTokenCount: usage.output,
    ...(usage.reasoning === 0 ? {} : { thoughtsTokenCount: usage.reasoning }),
    totalTokenCount: promptTokens(usage) + answerTokens(usage),
  };
}
