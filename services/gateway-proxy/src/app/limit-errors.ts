import { AppError } from "@codex/kernel";
import type { Limited, LimitRefusal } from "../domain/limits.ts";

/** The 429s of limits, in the words that the customer reads. */

const names = { key: "this API key", account: "this account" } as const;

export function limitExceeded({ limits }: Limited, refusal: LimitRefusal): AppError {
  const { scope } = refusal;
  const { requestsPerMinute, tokensPerMinute, concurrentRequests } = limits[scope];
  const seconds = Math.max(1, Math.ceil(refusal.waitMs / 1_000));
  const wait = `Try again in ${String(seconds)} s.`;
  const who = names[scope];
  switch (refusal.limit) {
    case "requests":
      return refused("requests_per_minute_exceeded", seconds, scope, requestsPerMinute, [
        `Rate limit reached: ${who} may send ${String(requestsPerMinute)} requests per minute.`,
        wait,
      ]);
    case "tokens":
      return refused("tokens_per_minute_exceeded", seconds, scope, tokensPerMinute, [
        `Token limit reached: ${who} may use ${String(tokensPerMinute)} tokens per minute; a running request counts with`,
        `its max_tokens until it ends. ${wait}`,
      ]);
    case "concurrency":
      return refused("concurrent_requests_exceeded", seconds, scope, concurrentRequests, [
        `Too many requests at once: ${who} may have ${String(concurrentRequests)} running. Wait until one of them ends.`,
      ]);
  }
}

function refused(
  code: string,
  retryAfterSeconds: number,
  scope: LimitRefusal["scope"],
  limit: number,
  sentences: readonly string[],
): AppError {
  return new AppError({
    kind: "rate_limited",
    code,
    publicMessage: sentences.join(" "),
    retryAfterSeconds,
    metadata: { limit_source: scope, limit },
  });
}
