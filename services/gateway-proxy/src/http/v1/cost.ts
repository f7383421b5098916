import { promptTokensOf, type TokenCounts } from "@codex/contracts";
import { formatAmount } from "@codex/kernel";
import type { Charge } from "../../domain/charge.ts";

/** What every answer says of its price: `usage.cost` as a number for people, the exact amount as text beside it. */
export function costFields(charge: Charge, priceVersion: string): Readonly<Record<string, unknown>> {
  const amount = formatAmount(charge.cost);
  return {
    cost: Number(amount),
    cost_details: { amount, currency: "token", price_version: priceVersion, estimated: charge.estimated },
  };
}

/** OpenAI's usage object made from our own counts, for an upstream that sent none. */
export function openAiUsage(tokens: TokenCounts): Readonly<Record<string, unknown>> {
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
