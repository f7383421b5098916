/**
 * How failures slow down (SEC-16). Counted per account, per account and address, per address, and for a browser that has
 * signed in before by itself, so that an attacker cannot lock its owner out.
 */
export interface FailureRule {
  /** This many failures are free. */
  readonly free: number;
  /** Wait after the first failure beyond; doubles with each. */
  readonly firstWaitMs: number;
  readonly waitMaxMs: number;
  /** Failures in a row after which only a mailed link helps; 0 = no end. */
  readonly max: number;
  /** Forgotten after this long without a failure. */
  readonly forgetMs: number;
}

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const dayMs = 24 * 60 * minuteMs;

export const failureRules = {
  /** From the fifth failure: 1 s, 2 s, … 15 min; a hundred in a row at most (NIST SP 800-63B-4 §3.2.2). */
  account: { free: 4, firstWaitMs: secondMs, waitMaxMs: 15 * minuteMs, max: 100, forgetMs: 30 * dayMs },
  accountAndAddress: { free: 4, firstWaitMs: 15 * minuteMs, waitMaxMs: 15 * minuteMs, max: 0, forgetMs: 15 * minuteMs },
  device: { free: 4, firstWaitMs: secondMs, waitMaxMs: 15 * minuteMs, max: 100, forgetMs: 30 * dayMs },
  factor: { free: 4, firstWaitMs: secondMs, waitMaxMs: 15 * minuteMs, max: 0, forgetMs: 30 * dayMs },
} as const satisfies Record<string, FailureRule>;

export interface FailureCount {
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
}

export type FailureVerdict =
  | { readonly kind: "admitted"; readonly next: FailureCount }
  | { readonly kind: "wait"; readonly waitMs: number }
  | { readonly kind: "stopped" };

/** The next attempt: it counts as a failure from the start. The script in store/failure-counters.ts does the same. */
export function nextAttempt(rule: FailureRule, known: FailureCount | undefined, nowMs: number): FailureVerdict {
  const count = known?.count ?? 0;
  if (rule.max > 0 && count >= rule.max) return { kind: "stopped" };
  const waitMs = (known?.notBefore ?? 0) - nowMs;
  if (waitMs > 0) return { kind: "wait", waitMs };
  const beyond = count + 1 - rule.free;
  const pauseMs = beyond <= 0 ? 0 : Math.min(rule.firstWaitMs * 2 ** Math.min(beyond - 1, 30), rule.waitMaxMs);
  return { kind: "admitted", next: { count: count + 1, notBefore: pauseMs === 0 ? 0 : nowMs + pauseMs } };
}

/** Network of a client: attackers have a whole /24 or /64 as easily as one address of it. */
export function networkOf(clientIp: string): string {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(clientIp)) return clientIp.split(".").slice(0, 3).join(".");
  if (!clientIp.includes(":")) return clientIp;
  const [head = "", tail] = clientIp.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0");
  return [...left, ...zeros, ...right].slice(0, 4).join(":");
}
