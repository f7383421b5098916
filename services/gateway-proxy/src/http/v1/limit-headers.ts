import type { Dialect } from "../../domain/endpoint.ts";
import type { LimitAnswer, Limited, Limits, Levels } from "../../domain/limits.ts";
import { remainingOf } from "../../domain/rate.ts";

/**
 * What is left, under the names that the client's own library and tools know: OpenAI's `x-ratelimit-*` with Go durations
 * (developers.openai.com, guides/rate-limits), Anthropic's `anthropic-ratelimit-*` with RFC 3339 times
 * (platform.claude.com/docs/en/api/rate-limits, both read 2026-11). Of key and account the one with less left is told;
 * the reset is the moment at which all of the limit is there again.
 */
export function limitHeaders(
  dialect: Dialect,
  { limits }: Pick<Limited, "limits">,
  { levels }: LimitAnswer,
  now: Date,
): readonly Header[] {
  const meters = [
    ["requests", tighter(limits, levels, "requestsPerMinute", "requestsMs")],
    ["tokens", tighter(limits, levels, "tokensPerMinute", "tokensMs")],
  ] as const;
  return meters.flatMap(([name, meter]) =>
    dialect === "openai" ? openAiHeaders(name, meter) : anthropicHeaders(name, meter, now),
  );
}

type Header = readonly [name: string, value: string];

interface Meter {
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
}

function tighter(
  limits: Limited["limits"],
  levels: LimitAnswer["levels"],
  limitName: keyof Limits,
  levelName: keyof Levels,
): Meter {
  const meter = (scope: "key" | "account"): Meter => {
    const limit = limits[scope][limitName];
    const resetMs = levels[scope][levelName];
    return { limit, remaining: remainingOf(resetMs, limit), resetMs };
  };
  const key = meter("key");
  const account = meter("account");
  return account.remaining < key.remaining ? account : key;
}

function openAiHeaders(name: string, { limit, remaining, resetMs }: Meter): readonly Header[] {
  return [
    [`x-ratelimit-limit-${name}`, String(limit)],
    [`x-ratelimit-remaining-${name}`, String(remaining)],
    [`x-ratelimit-reset-${name}`, goDuration(resetMs)],
  ];
}

function anthropicHeaders(name: string, { limit, remaining, resetMs }: Meter, now: Date): readonly Header[] {
  const reset = new Date(Math.ceil((now.getTime() + resetMs) / 1_000) * 1_000);
  return [
    [`anthropic-ratelimit-${name}-limit`, String(limit)],
    [`anthropic-ratelimit-${name}-remaining`, String(remaining)],
    [`anthropic-ratelimit-${name}-reset`, reset.toISOString().replace(".000Z", "Z")],
  ];
}

/** As Go prints a duration, which is what OpenAI sends: "850ms", "59s", "6m0s". Rounded up. */
export function goDuration(ms: number): string {
  if (ms <= 999) return `${String(Math.ceil(ms))}ms`;
  const seconds = Math.ceil(ms / 1_000);
  const minutes = Math.floor(seconds / 60);
  return minutes === 0 ? `${String(seconds)}s` : `${String(minutes)}m${String(seconds % 60)}s`;
}
