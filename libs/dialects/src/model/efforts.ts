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
