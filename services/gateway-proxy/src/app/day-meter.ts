import type { Clock, MicroTokens } from "@codex/kernel";

/**
 * What a channel has cost customers, and how often it was asked, this UTC day: what all workers told each other a moment ago
 * and what this one has not told yet. So a budget can be passed by what runs at that moment and by what the workers spend in
 * one round of telling (1 s), and without Redis each worker counts alone.
 */

const dayMs = 86_400_000;

export interface DayCounts {
  readonly spent: MicroTokens;
  readonly requests: number;
}

export class DayMeter {
  private readonly clock: Clock;
  private day: number;
  private toldSpent = 0n;
  private toldRequests = 0;
  private ownSpent = 0n;
  private ownRequests = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    this.day = this.today();
  }

  asked(): void {
    this.turn();
    this.ownRequests += 1;
  }

  charged(cost: MicroTokens): void {
    this.turn();
    this.ownSpent += cost;
  }

  allows(budget: MicroTokens | null, requestsMax: number | null): boolean {
    const { spent, requests } = this.total();
    return (budget === null || spent < budget) && (requestsMax === null || requests < requestsMax);
  }

  total(): DayCounts {
    this.turn();
    return { spent: this.toldSpent + this.ownSpent, requests: this.toldRequests + this.ownRequests };
  }

  /** What this worker has not told yet; `told` says that it has arrived. Of another day by then, it is void. */
  take(): DayCounts & { readonly day: number } {
    this.turn();
    return { day: this.day, spent: this.ownSpent, requests: this.ownRequests };
  }

  /** `taken` is part of `fleet` now. */
  told(taken: DayCounts & { readonly day: number }, fleet: DayCounts): void {
    this.turn();
    if (taken.day !== this.day) return;
    this.ownSpent -= taken.spent;
    this.ownRequests -= taken.requests;
    this.toldSpent = fleet.spent;
    this.toldRequests = fleet.requests;
  }

  private today(): number {
    return Math.floor(this.clock.now().getTime() / dayMs);
  }

  private turn(): void {
    const today = this.today();
    if (today === this.day) return;
    this.day = today;
    this.toldSpent = 0n;
    this.toldRequests = 0;
    this.ownSpent = 0n;
    this.ownRequests = 0;
  }
}
