/** Time as a dependency, so that tests can own it. */
export interface Clock {
  /** Wall clock, for what people and other machines see. May jump. */
  now(): Date;
  /** Milliseconds that never go backwards, for durations, leases and deadlines. Origin is arbitrary. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
};

/** A clock that stands still until it is moved; both readings move together. */
export class ManualClock implements Clock {
  private wallMs: number;
  private steadyMs = 0;

  constructor(start: Date = new Date("2026-01-01T00:00:00.000Z")) {
    this.wallMs = start.getTime();
  }

  now(): Date {
    return new Date(this.wallMs);
  }

  monotonicMs(): number {
    return this.steadyMs;
  }

  advance(ms: number): void {
    this.wallMs += ms;
    this.steadyMs += ms;
  }
}
