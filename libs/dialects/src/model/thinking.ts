import type { Effort } from "./request.ts";

/**
 * How a model, by its name at the provider, lets itself be told to think. The names are read because the two providers
 * changed the words between generations of one API, and refuse the words of the other generation with a 400. A name that is
 * not known is undefined: it is spoken to as the newest generation is, and a budget stays a budget.
 *
 * After the vendors' pages on thinking (platform.claude.com, ai.google.dev) as public client libraries cite them, 2026-11; the pages
 * themselves were not read.
 */

export interface ClaudeThinking {
  /**
   * none      does not think: Claude 3.5 and before
   * budget    `enabled` with `budget_tokens` alone: 3.7, 4, 4.1, 4.5
   * both      that, and `adaptive` with an effort: 4.6
   * adaptive  `adaptive` with an effort alone; sampling cannot be set either: 4.7, 5 and later
   */
  readonly says: "none" | "budget" | "both" | "adaptive";
  /** Steps of `output_config.effort`; empty where the field is refused. */
  readonly efforts: readonly Effort[];
  /** Whether `disabled` is taken. */
  readonly canBeOff: boolean;
}

export type GeminiThinking =
  | { readonly says: "none" }
  /** `thinkingBudget` alone: 2.5. */
  | { readonly says: "budget"; readonly least: number; readonly most: number; readonly canBeOff: boolean }
  /** `thinkingLevel`: 3 and later. None of them can be switched off; `minimal` "likely" does not think. */
  | { readonly says: "level"; readonly levels: readonly Effort[] };

/** `claude-3-7-sonnet-…`, `claude-opus-4-5-20251101`, `anthropic/claude-sonnet-4.5`, `anthropic.claude-opus-4-1-…-v1:0`. */
const claudeOld = /claude-(?<major>\d)(?:[-.](?<minor>\d))?-[a-z]/;
const claudeNew = /claude-(?<family>[a-z]+)-(?<major>\d{1,2})(?:[-.](?<minor>\d{1,2}))?(?!\d)/;
const claudeFirst = /claude-(?:v?[12](?!\d)|instant)/;

const alwaysThinking: ReadonlySet<string> = new Set(["fable", "mythos"]);

export function claudeThinking(model: string): ClaudeThinking | undefined {
  const name = model.toLowerCase();
  if (claudeFirst.test(name)) return { says: "none", efforts: [], canBeOff: true };
  const found = claudeOld.exec(name) ?? claudeNew.exec(name);
  if (found === null) return undefined;
  const { family, major, minor } = found.groups ?? {};
  const version = Number(major) * 100 + Number(minor ?? 0);
  if (version < 307) return { says: "none", efforts: [], canBeOff: true };
  // Opus 4.5 was the first with efforts, beside its budget.
  if (version < 406) {
    const efforts: readonly Effort[] = family === "opus" && version === 405 ? ["low", "medium", "high"] : [];
    return { says: "budget", efforts, canBeOff: true };
  }
  if (version === 406) return { says: "both", efforts: ["low", "medium", "high", "max"], canBeOff: true };
  const canBeOff = !alwaysThinking.has(family ?? "");
  return { says: "adaptive", efforts: ["low", "medium", "high", "xhigh", "max"], canBeOff };
}

const geminiName = /gemini-(?<major>\d{1,2})(?:[.-](?<minor>\d{1,2})(?!\d))?-(?<family>pro|flash-lite|flash)/;

export function geminiThinking(model: string): GeminiThinking | undefined {
  const { major, minor, family } = geminiName.exec(model.toLowerCase())?.groups ?? {};
  if (major === undefined) return undefined;
  const version = Number(major) * 100 + Number(minor ?? 0);
  if (version < 205) return { says: "none" };
  if (version < 300) {
    if (family === "pro") return { says: "budget", least: 128, most: 32_768, canBeOff: false };
    return { says: "budget", least: family === "flash" ? 1 : 512, most: 24_576, canBeOff: true };
  }
  if (family !== "pro") return { says: "level", levels: ["minimal", "low", "medium", "high"] };
  return { says: "level", levels: version === 300 ? ["low", "high"] : ["low", "medium", "high"] };
}
