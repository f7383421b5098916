import type { JsonObject } from "../model/dialect.ts";
import { budgetFor, claudeBudgetMin, effortFor, isOff } from "../model/efforts.ts";
import { cannotSay, type ConversionContext } from "../model/fields.ts";
import { optional } from "../model/optional.ts";
import type { ConversationRequest, Effort, Reasoning } from "../model/request.ts";
import { claudeThinking, type ClaudeThinking } from "../model/thinking.ts";

/** What is said of a model whose name says no generation: all of it, as the newest and the last but one understand it. */
const unknownModel: ClaudeThinking = {
  says: "both",
  efforts: ["low", "medium", "high", "xhigh", "max"],
  canBeOff: true,
};

export interface ThinkingOut {
  readonly thinking?: JsonObject;
  /** For `output_config.effort`. */
  readonly effort?: Effort | undefined;
}

/**
 * Reasoning in the words that the model's generation knows: a budget, or `adaptive` within an effort. Throws RefusedError for
 * reasoning that the model does not have, or cannot be without.
 */
export function thinkingOut(context: ConversionContext, request: ConversationRequest, maxTokens: number): ThinkingOut {
  const { reasoning } = request.settings;
  if (reasoning === undefined) return {};
  const known = claudeThinking(request.model) ?? unknownModel;
  if (isOff(reasoning)) {
    if (!known.canBeOff) throw cannotSay(context, request.paths.reasoning, "this model always reasons");
    // A model that never thinks, and older than the word, needs none.
    return known.says === "none" ? {} : { thinking: { type: "disabled" } };
  }
  const display = reasoning.shown === undefined ? {} : { display: reasoning.shown ? "summarized" : "omitted" };
  if (known.says === "none" || known.says === "budget") {
    if (isUnsaid(reasoning) && (known.says === "none" || reasoning.shown !== true)) {
      if (reasoning.shown !== undefined) context.dropped.add("reasoning_display");
      return {};
    }
    if (known.says === "none") throw cannotSay(context, request.paths.reasoning, "this model does not reason");
    refuseBesideBudget(context, request, maxTokens);
    return withBudget(context, reasoning, known, maxTokens, display);
  }
  if (reasoning.budgetTokens !== undefined && known.says === "both") {
    refuseWithoutRoom(context, request, maxTokens);
    return withBudget(context, reasoning, known, maxTokens, display);
  }
  // Where both were said, the effort is the model's own word, and the budget has none.
  if (reasoning.budgetTokens !== undefined) context.dropped.add("reasoning_effort");
  return { thinking: { type: "adaptive", ...display }, effort: effortFor(context, reasoning, known.efforts) };
}

function isUnsaid({ effort, budgetTokens }: Reasoning): boolean {
  return effort === undefined && budgetTokens === undefined;
}

function withBudget(
  context: ConversionContext,
  reasoning: Reasoning,
  known: ClaudeThinking,
  maxTokens: number,
  display: JsonObject,
): ThinkingOut {
  // An effort leaves a fifth of the bound to the answer itself; who names a budget is taken at their word, below the bound.
  const most = reasoning.budgetTokens === undefined ? Math.floor(maxTokens * 0.8) : maxTokens - 1;
  const budget = budgetFor(context, reasoning, "messages", { least: claudeBudgetMin, most });
  if (reasoning.effort === undefined) return { thinking: { type: "enabled", budget_tokens: budget, ...display } };
  const effort = known.efforts.length === 0 ? undefined : effortFor(context, reasoning, known.efforts);
  // The effort was said beside a budget and has no word here.
  if (effort === undefined) context.dropped.add("reasoning_effort");
  return { thinking: { type: "enabled", budget_tokens: budget, ...display }, effort };
}

function refuseWithoutRoom(context: ConversionContext, { paths }: ConversationRequest, maxTokens: number): void {
  if (maxTokens > claudeBudgetMin) return;
  const why = `this model reasons with ${String(claudeBudgetMin)} tokens at least, within a larger bound of the answer`;
  throw cannotSay(context, paths.reasoning, why);
}

/** A budget goes with neither sampling nor a forced call (Anthropic, extended thinking; second-hand, 2026-11). */
function refuseBesideBudget(context: ConversionContext, request: ConversationRequest, maxTokens: number): void {
  const { settings, paths } = request;
  refuseWithoutRoom(context, request, maxTokens);
  const why = "this model cannot do it while it reasons";
  if ((settings.temperature ?? 1) !== 1) throw cannotSay(context, paths.temperature, why);
  if ((settings.topP ?? 1) < 0.95) throw cannotSay(context, paths.topP, why);
  if (settings.topK !== undefined) throw cannotSay(context, paths.topK, why);
  const mode = settings.toolChoice?.mode;
  if (mode === "required" || mode === "named") throw cannotSay(context, paths.toolChoice, why);
}

/** Models that decide themselves how to think sample as they like: they refuse any value but the default. */
export function samplingOut(context: ConversionContext, { model, settings, paths }: ConversationRequest): JsonObject {
  if (claudeThinking(model)?.says !== "adaptive") {
    return {
      ...optional("temperature", settings.temperature),
      ...optional("top_p", settings.topP),
      ...optional("top_k", settings.topK),
    };
  }
  if ((settings.temperature ?? 1) !== 1) throw cannotSay(context, paths.temperature, "this model takes 1 alone");
  if ((settings.topP ?? 1) !== 1) throw cannotSay(context, paths.topP, "this model takes 1 alone");
  if (settings.topK !== undefined) throw cannotSay(context, paths.topK, "this model takes none");
  return {};
}
