import type { ConversionContext } from "./fields.ts";
import { efforts, type Effort, type Reasoning } from "./request.ts";

/**
 * Steps of reasoning in place of a token budget, and back. The bounds are ours: no provider publishes any; they lie
 * between the budgets that clients send for "think", "think hard" and "ultrathink" (4,000, 10,000, 32,000).
 */
const budgetSteps: readonly { readonly upTo: number; readonly effort: Effort }[] = [
  { upTo: 0, effort: "none" },
  { upTo: 1_024, effort: "minimal" },
  { upTo: 4_096, effort: "low" },
  { upTo: 16_384, effort: "medium" },
  { upTo: 32_768, effort: "high" },
  { upTo: 65_536, effort: "xhigh" },
];

/** Least budget that Anthropic takes; it must also be below `max_tokens` (Anthropic, extended thinking; second-hand, 2026-11). */
export const claudeBudgetMin = 1_024;

/**
 * Tokens in place of a step, for models that know budgets alone. Claude's are the bounds above, so that a budget comes back
 * as it went; Gemini's are Google's own (its OpenAI-compatible API; second-hand, 2026-11).
 */
const budgets: Readonly<Record<"messages" | "gemini", Readonly<Record<Exclude<Effort, "none">, number>>>> = {
  messages: { minimal: claudeBudgetMin, low: 4_096, medium: 16_384, high: 32_768, xhigh: 65_536, max: 131_072 },
  gemini: { minimal: 1_024, low: 1_024, medium: 8_192, high: 24_576, xhigh: 32_768, max: 32_768 },
};

/**
 * The budget asked for, within what the model takes; an effort in its place, or a budget that had to be moved, is noted as a
 * hint. Not for reasoning that is switched off. Without either, `medium`: thinking is wanted, and nobody said how much.
 */
export function budgetFor(
  context: ConversionContext,
  { effort, budgetTokens }: Reasoning,
  ladder: keyof typeof budgets,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  const wanted = budgetTokens ?? budgets[ladder][effort === undefined || effort === "none" ? "medium" : effort];
  const budget = Math.max(least, Math.min(most, wanted));
  if (budgetTokens !== budget) context.dropped.add("reasoning_effort");
  return budget;
}

/** Whether the client switched reasoning off. */
export function isOff({ effort, budgetTokens }: Reasoning): boolean {
  return budgetTokens === 0 || effort === "none";
}

/** The effort asked for, in the steps that the target knows; a clamped or translated one is noted as a hint. */
export function effortFor(
  context: ConversionContext,
  reasoning: Reasoning,
  known: readonly Effort[],
): Effort | undefined {
  const { effort, budgetTokens } = reasoning;
  if (effort !== undefined) return nearest(context, effort, known);
  if (budgetTokens === undefined) return undefined;
  context.dropped.add("reasoning_effort");
  const step = budgetSteps.find(({ upTo }) => budgetTokens <= upTo)?.effort ?? "max";
  return nearest(context, step, known);
}

function nearest(context: ConversionContext, effort: Effort, known: readonly Effort[]): Effort {
  if (known.includes(effort)) return effort;
  context.dropped.add("reasoning_effort");
  const wanted = efforts.indexOf(effort);
  const distance = (step: Effort): number => Math.abs(efforts.indexOf(step) - wanted);
  return known.reduce((best, step) => (distance(step) < distance(best) ? step : best), known[0] ?? effort);
}
