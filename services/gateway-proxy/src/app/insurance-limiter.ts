import type { Clock } from "@codex/kernel";
import {
  drained,
  judge,
  type Demand,
  type Levels,
  type LimitAnswer,
  type Limited,
  type Limits,
} from "../domain/limits.ts";
import { levelMaxMs } from "../domain/rate.ts";
import type { RunningRequests } from "./running-requests.ts";

/**
 * Limits as this worker alone counts them, while Redis does not answer: its share of each limit, so that all workers together
 * let through about as much as before. Nothing is unlimited, and nothing is refused for our outage.
 */

/** Keys and accounts remembered at most; the one that was asked for longest ago goes first. */
const remembered = 100_000;
const empty: Levels = { requestsMs: 0, tokensMs: 0 };

export class InsuranceLimiter {
  private readonly clock: Clock;
  private readonly running: RunningRequests;
  private readonly levels = new Map<string, { readonly levels: Levels; readonly atMs: number }>();

  constructor(clock: Clock, running: RunningRequests) {
    this.clock = clock;
    this.running = running;
  }

  /** `workers`: how many share the limits. The answer is in terms of the share. */
  take(limited: Limited, demand: Demand, workers: number): { readonly answer: LimitAnswer; readonly of: Limited } {
    const of = shareOf(limited, workers);
    const before = { key: this.read(of.keyId), account: this.read(of.accountId) };
    const answer = judge(of, demand, before, this.running.counts(of));
    if (!answer.refusal) {
      this.write(of.keyId, answer.levels.key);
      this.write(of.accountId, answer.levels.account);
    }
    return { answer, of };
  }

  correct({ keyId, accountId }: Limited, change: { readonly key: number; readonly account: number }): void {
    for (const [id, ms] of [
      [keyId, change.key],
      [accountId, change.account],
    ] as const) {
      const { requestsMs, tokensMs } = this.read(id);
      this.write(id, { requestsMs, tokensMs: Math.min(levelMaxMs, Math.max(0, tokensMs + ms)) });
    }
  }

  private read(id: string): Levels {
    const present = this.levels.get(id);
    return present ? drained(present.levels, this.clock.monotonicMs() - present.atMs) : empty;
  }

  private write(id: string, levels: Levels): void {
    this.levels.delete(id);
    this.levels.set(id, { levels, atMs: this.clock.monotonicMs() });
    if (this.levels.size <= remembered) return;
    const oldest = this.levels.keys().next();
    if (oldest.done !== true) this.levels.delete(oldest.value);
  }
}

function shareOf(limited: Limited, workers: number): Limited {
  const share = (limit: number): number => Math.max(1, Math.ceil(limit / Math.max(1, workers)));
  const shares = ({ requestsPerMinute, tokensPerMinute, concurrentRequests }: Limits): Limits => ({
    requestsPerMinute: share(requestsPerMinute),
    tokensPerMinute: share(tokensPerMinute),
    concurrentRequests: share(concurrentRequests),
  });
  return { ...limited, limits: { key: shares(limited.limits.key), account: shares(limited.limits.account) } };
}
