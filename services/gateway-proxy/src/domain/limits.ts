import type { AccountId, KeyId, RequestId } from "@codex/kernel";
import { riseMs, waitMs } from "./rate.ts";

/**
 * What a key and its account may do at the same time and in a minute. A request needs all of them; what one refuses is taken
 * from none.
 *
 * Glossary
 *   scope   whose limit it is: the key's own, or the one of all keys of its account
 *   slot    the place of a running request among those that may run at the same time
 */

export interface Limits {
  readonly requestsPerMinute: number;
  readonly tokensPerMinute: number;
  readonly concurrentRequests: number;
}

export type LimitScope = "key" | "account";
export type LimitName = "requests" | "tokens" | "concurrency";

/** Who is limited, and to what. */
export interface Limited {
  readonly accountId: AccountId;
  readonly keyId: KeyId;
  readonly limits: Readonly<Record<LimitScope, Limits>>;
}

export interface Demand {
  readonly requestId: RequestId;
  /** Model tokens that it is thought to use. */
  readonly tokens: number;
  /** It runs for longer than a moment. */
  readonly slot: boolean;
}

/** See rate.ts. */
export interface Levels {
  readonly requestsMs: number;
  readonly tokensMs: number;
}

export interface LimitRefusal {
  readonly scope: LimitScope;
  readonly limit: LimitName;
  /** Until the rate has room; 0 for slots, of which nobody knows when one comes free. */
  readonly waitMs: number;
}

/** The levels after the demand was taken, or as they were when it was refused. */
export interface LimitAnswer {
  readonly refusal: LimitRefusal | undefined;
  readonly levels: Readonly<Record<LimitScope, Levels>>;
}

/** The smaller of the owner's limit and the operator's ceiling, each by itself. */
export function within(own: { readonly [Name in keyof Limits]: number | null } | null, ceiling: Limits): Limits {
  const smaller = (name: keyof Limits): number => Math.min(own?.[name] ?? Infinity, ceiling[name]);
  return {
    requestsPerMinute: smaller("requestsPerMinute"),
    tokensPerMinute: smaller("tokensPerMinute"),
    concurrentRequests: smaller("concurrentRequests"),
  };
}

const scopes = ["key", "account"] as const;

/** The judgement itself, for a worker that counts alone. Of several rates that refuse, the one with the longest wait is named. */
export function judge(
  { limits }: Pick<Limited, "limits">,
  demand: Demand,
  before: Readonly<Record<LimitScope, Levels>>,
  running: Readonly<Record<LimitScope, number>>,
): LimitAnswer {
  let refusal: LimitRefusal | undefined;
  for (const scope of scopes) {
    const { requestsPerMinute, tokensPerMinute } = limits[scope];
    const waits = {
      requests: waitMs(before[scope].requestsMs, 1, requestsPerMinute),
      tokens: waitMs(before[scope].tokensMs, demand.tokens, tokensPerMinute),
    };
    for (const limit of ["requests", "tokens"] as const)
      if (waits[limit] > (refusal?.waitMs ?? 0)) refusal = { scope, limit, waitMs: waits[limit] };
  }
  if (!refusal && demand.slot) {
    const scope = scopes.find((one) => running[one] >= limits[one].concurrentRequests);
    if (scope) refusal = { scope, limit: "concurrency", waitMs: 0 };
  }
  if (refusal) return { refusal, levels: before };
  return {
    refusal,
    levels: { key: risen(before.key, limits.key, demand), account: risen(before.account, limits.account, demand) },
  };
}

function risen(levels: Levels, limits: Limits, { tokens }: Demand): Levels {
  return {
    requestsMs: levels.requestsMs + riseMs(1, limits.requestsPerMinute),
    tokensMs: levels.tokensMs + riseMs(tokens, limits.tokensPerMinute),
  };
}

/** The same levels some time later. */
export function drained({ requestsMs, tokensMs }: Levels, elapsedMs: number): Levels {
  return { requestsMs: Math.max(0, requestsMs - elapsedMs), tokensMs: Math.max(0, tokensMs - elapsedMs) };
}
