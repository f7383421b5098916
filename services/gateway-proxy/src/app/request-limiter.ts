import type { Clock, KeyId, RequestId } from "@codex/kernel";
import {
  drained,
  within,
  type Demand,
  type LimitAnswer,
  type Limited,
  type Limits,
  type LimitScope,
} from "../domain/limits.ts";
import { correctionMs } from "../domain/rate.ts";
import { InsuranceLimiter } from "./insurance-limiter.ts";
import type { ResolvedKey } from "./key-cache.ts";
import { RunningRequests } from "./running-requests.ts";

/**
 * Requests and tokens a minute and requests at the same time, of a key and of its account, counted in Redis so that all
 * gateways count together (docs/adr/0015-limits.md).
 *
 * Glossary
 *   take       the one question to Redis, before the upstream is called; tokens are an estimate
 *   end        the one message to Redis, which nobody waits for: gives the slot back, corrects the tokens
 *   lease      how Redis knows a slot: it lapses unless it is renewed, so the slots of a killed worker come back
 *   insurance  this worker's own count, while Redis does not answer
 */

export interface LimitStore {
  /** Takes all or nothing. Rejects when Redis does not answer in time. */
  take(of: Limited, demand: Demand): Promise<LimitAnswer>;
  /** Levels change by these milliseconds. Nobody waits; what is lost lapses and drains by itself. */
  end(of: Limited, requestId: RequestId, change: Readonly<Record<LimitScope, number>>): void;
  renew(running: ReturnType<RunningRequests["all"]>): Promise<void>;
  /** Says that this worker lives; answers how many do. */
  beat(): Promise<number>;
}

export interface LimiterPorts {
  readonly store: LimitStore;
  readonly clock: Clock;
  /** A request was counted by this worker alone. */
  onInsurance(): void;
  /** Redis stopped answering, or answers again; at each change, not at each request. */
  onAway(error: unknown): void;
  onBack(): void;
}

/** What a request took. `of` holds the limits that it was judged by. */
export interface Taken {
  readonly answer: LimitAnswer;
  readonly of: Limited;
  /** The request is over and used so many tokens. Idempotent; without effect on what was refused. */
  end(usedTokens: number): void;
}

/** While Redis is away, one request in this time asks whether it is back. */
const askAgainMs = 1_000;
/** Refusals remembered at most. */
const refusalsMax = 10_000;

export class RequestLimiter {
  private readonly ports: LimiterPorts;
  private readonly ceilings: Readonly<Record<LimitScope, Limits>>;
  private readonly running = new RunningRequests();
  private readonly insurance: InsuranceLimiter;
  private readonly refused = new Map<KeyId, { readonly answer: LimitAnswer; readonly atMs: number }>();
  private away = false;
  private askAtMs = 0;
  private workers = 1;

  constructor(ports: LimiterPorts, ceilings: Readonly<Record<LimitScope, Limits>>) {
    this.ports = ports;
    this.ceilings = ceilings;
    this.insurance = new InsuranceLimiter(ports.clock, this.running);
  }

  limitedOf({ keyId, accountId, limits }: Pick<ResolvedKey, "keyId" | "accountId" | "limits">): Limited {
    const { key, account } = this.ceilings;
    return { keyId, accountId, limits: { key: within(limits, key), account } };
  }

  /**
   * The refusal that a request of this key would get, when it is known without asking: its requests of the minute are used
   * up until a moment that is yet to come. Keeps a flood away from Redis and from the reading of bodies.
   */
  known({ keyId }: Limited): LimitAnswer | undefined {
    const present = this.refused.get(keyId);
    if (!present?.answer.refusal) return undefined;
    const { refusal, levels } = present.answer;
    const elapsedMs = this.ports.clock.monotonicMs() - present.atMs;
    if (elapsedMs < refusal.waitMs) {
      return {
        refusal: { ...refusal, waitMs: refusal.waitMs - elapsedMs },
        levels: { key: drained(levels.key, elapsedMs), account: drained(levels.account, elapsedMs) },
      };
    }
    this.refused.delete(keyId);
    return undefined;
  }

  /** Never rejects: without Redis the insurance answers. */
  async take(of: Limited, demand: Demand): Promise<Taken> {
    const answer = await this.askStore(of, demand);
    if (answer) return this.taken(of, demand, answer, (change) => this.ports.store.end(of, demand.requestId, change));
    this.ports.onInsurance();
    const own = this.insurance.take(of, demand, this.workers);
    return this.taken(own.of, demand, own.answer, (change) => this.insurance.correct(own.of, change));
  }

  /** To be called three times in the life of a lease. Never rejects. */
  async tick(): Promise<void> {
    try {
      await this.ports.store.renew(this.running.all());
      this.workers = await this.ports.store.beat();
    } catch {
      // The next request finds out, and says so.
    }
  }

  private async askStore(of: Limited, demand: Demand): Promise<LimitAnswer | undefined> {
    const { clock, store } = this.ports;
    if (this.away) {
      if (clock.monotonicMs() < this.askAtMs) return undefined;
      this.askAtMs = clock.monotonicMs() + askAgainMs;
    }
    try {
      const answer = await store.take(of, demand);
      if (this.away) this.ports.onBack();
      this.away = false;
      return answer;
    } catch (error) {
      this.askAtMs = clock.monotonicMs() + askAgainMs;
      if (!this.away) this.ports.onAway(error);
      this.away = true;
      return undefined;
    }
  }

  private taken(
    of: Limited,
    demand: Demand,
    answer: LimitAnswer,
    end: (change: Readonly<Record<LimitScope, number>>) => void,
  ): Taken {
    if (answer.refusal) {
      if (answer.refusal.limit === "requests") this.remember(of.keyId, answer);
      return { answer, of, end: () => undefined };
    }
    const startedMs = this.ports.clock.monotonicMs();
    if (demand.slot) this.running.add(of, demand.requestId);
    let ended = false;
    return {
      answer,
      of,
      end: (usedTokens) => {
        if (ended) return;
        ended = true;
        this.running.remove(of, demand.requestId);
        const elapsedMs = this.ports.clock.monotonicMs() - startedMs;
        const change = {
          key: changeOf(of, "key", demand, answer, usedTokens, elapsedMs),
          account: changeOf(of, "account", demand, answer, usedTokens, elapsedMs),
        };
        if (demand.slot || change.key !== 0 || change.account !== 0) end(change);
      },
    };
  }

  private remember(keyId: KeyId, answer: LimitAnswer): void {
    if (this.refused.size >= refusalsMax) this.refused.clear();
    this.refused.set(keyId, { answer, atMs: this.ports.clock.monotonicMs() });
  }
}

function changeOf(
  { limits }: Limited,
  scope: LimitScope,
  { tokens }: Demand,
  { levels }: LimitAnswer,
  used: number,
  elapsedMs: number,
): number {
  const limit = limits[scope].tokensPerMinute;
  return correctionMs({ amount: tokens, levelAfterMs: levels[scope].tokensMs, limit }, used, elapsedMs);
}
