import { AppError, type Clock } from "@codex/kernel";

/**
 * Requests per minute of a key, counted in fixed windows in Redis so that all gateways count together; when Redis does
 * not answer within its deadline, this worker's own count takes over: nothing is unlimited, nothing is refused for our
 * outage.
 */

export interface WindowCount {
  readonly used: number;
  readonly resetMs: number;
}

export interface LimiterPorts {
  /** Adds one to the key's running window. Rejects when Redis does not answer in time. */
  count(keyId: string): Promise<WindowCount>;
  onFallback(error: unknown): void;
  readonly clock: Clock;
}

export interface LimitState {
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
}

export const windowMs = 60_000;
const localKeysMax = 100_000;

export class RequestLimiter {
  private readonly ports: LimiterPorts;
  private readonly perMinute: number;
  private readonly local = new Map<string, { used: number; endsAtMs: number }>();

  constructor(ports: LimiterPorts, perMinute: number) {
    this.ports = ports;
    this.perMinute = perMinute;
  }

  /** Counts the request. Throws AppError `rate_limit_exceeded` with `retry-after` when the window is used up. */
  async take(keyId: string): Promise<LimitState> {
    let count: WindowCount;
    try {
      count = await this.ports.count(keyId);
    } catch (error) {
      this.ports.onFallback(error);
      count = this.countLocally(keyId);
    }
    if (count.used > this.perMinute) throw exceeded(this.perMinute, count.resetMs);
    return { limit: this.perMinute, remaining: this.perMinute - count.used, resetMs: count.resetMs };
  }

  private countLocally(keyId: string): WindowCount {
    const nowMs = this.ports.clock.monotonicMs();
    const present = this.local.get(keyId);
    const window = present && present.endsAtMs > nowMs ? present : { used: 0, endsAtMs: nowMs + windowMs };
    window.used += 1;
    if (window !== present) {
      if (this.local.size >= localKeysMax) this.local.clear();
      this.local.set(keyId, window);
    }
    return { used: window.used, resetMs: window.endsAtMs - nowMs };
  }
}

function exceeded(limit: number, resetMs: number): AppError {
  const seconds = Math.max(1, Math.ceil(resetMs / 1_000));
  return new AppError({
    kind: "rate_limited",
    code: "rate_limit_exceeded",
    publicMessage: `Rate limit reached: ${limit} requests per minute for this API key. Try again in ${seconds} s.`,
    retryAfterSeconds: seconds,
  });
}
