/**
 * The circuit breaker of one channel and model: closed while it works, open while it fails, half-open while one request tries
 * whether it works again. Passive: it learns from customers' requests only.
 *
 * It opens after `failuresInRow` failures without a success between, or when at least `samplesMin` attempts of the last
 * window were half failures. It stays open for `openMs`, doubled each time a trial fails, up to `openMsMax`, and lets one trial
 * through then. What was begun before the last change of state is not counted: an old success proves nothing about now.
 *
 * Our own, because the libraries (cockatiel 4.0, opossum 10.0, read 2026-11) wrap a function and decide when it is called;
 * here the choice among channels must ask first, without a promise or an allocation, and an attempt ends minutes later as
 * success, failure or neither.
 */

export type BreakerState = "closed" | "open" | "half_open";
/** `neutral`: the client's own fault, a rate limit, a client that left: it says nothing about the upstream's health. */
export type AttemptOutcome = "success" | "failure" | "neutral";

export interface BreakerRule {
  readonly failuresInRow: number;
  readonly samplesMin: number;
  readonly windowMs: number;
  readonly openMs: number;
  readonly openMsMax: number;
}

export const breakerRule: BreakerRule = {
  failuresInRow: 5,
  samplesMin: 20,
  windowMs: 30_000,
  openMs: 10_000,
  openMsMax: 300_000,
};

export class Breaker {
  private readonly rule: BreakerRule;
  private readonly jitter: () => number;
  private current: BreakerState = "closed";
  private openUntilMs = 0;
  private openings = 0;
  private trialRuns = false;
  /** Changes with each state; the ticket of an attempt. */
  private generation = 0;
  private inRow = 0;
  private windowStartMs = 0;
  private samples = 0;
  private failures = 0;

  /** `jitter` gives [0, 1): replicas that opened together do not all try again at once. */
  constructor(rule: BreakerRule = breakerRule, jitter: () => number = Math.random) {
    this.rule = rule;
    this.jitter = jitter;
  }

  get state(): BreakerState {
    return this.current;
  }

  /** Monotonic milliseconds; 0 while closed. */
  get untilMs(): number {
    return this.current === "closed" ? 0 : this.openUntilMs;
  }

  /** Whether an attempt may begin. Changes nothing. */
  allows(nowMs: number): boolean {
    if (this.current === "closed") return true;
    return this.current === "open" ? nowMs >= this.openUntilMs : !this.trialRuns;
  }

  /** Begins an attempt that `allows` has just allowed; the answer goes with its outcome to `record`. */
  begin(nowMs: number): number {
    if (this.current === "open" && nowMs >= this.openUntilMs) this.enter("half_open");
    if (this.current === "half_open") this.trialRuns = true;
    return this.generation;
  }

  /** Once an attempt. */
  record(ticket: number, outcome: AttemptOutcome, nowMs: number): void {
    if (ticket !== this.generation) return;
    if (this.current === "half_open") this.recordTrial(outcome, nowMs);
    else if (this.current === "closed" && outcome !== "neutral") this.count(outcome === "failure", nowMs);
  }

  private recordTrial(outcome: AttemptOutcome, nowMs: number): void {
    this.trialRuns = false;
    if (outcome === "success") {
      this.openings = 0;
      this.forget(nowMs);
      this.enter("closed");
    } else if (outcome === "failure") this.open(nowMs);
  }

  private count(failed: boolean, nowMs: number): void {
    if (nowMs - this.windowStartMs >= this.rule.windowMs) {
      this.windowStartMs = nowMs;
      this.samples = 0;
      this.failures = 0;
    }
    this.samples += 1;
    if (!failed) {
      this.inRow = 0;
      return;
    }
    this.inRow += 1;
    this.failures += 1;
    const half = this.samples >= this.rule.samplesMin && this.failures * 2 >= this.samples;
    if (half || this.inRow >= this.rule.failuresInRow) this.open(nowMs);
  }

  private open(nowMs: number): void {
    const { openMs, openMsMax } = this.rule;
    const baseMs = Math.min(openMs * 2 ** Math.min(this.openings, 20), openMsMax);
    this.openUntilMs = nowMs + baseMs * (1 + this.jitter() / 5);
    this.openings += 1;
    this.forget(nowMs);
    this.enter("open");
  }

  private forget(nowMs: number): void {
    this.inRow = 0;
    this.samples = 0;
    this.failures = 0;
    this.windowStartMs = nowMs;
  }

  private enter(state: BreakerState): void {
    this.current = state;
    this.trialRuns = false;
    this.generation += 1;
  }
}
