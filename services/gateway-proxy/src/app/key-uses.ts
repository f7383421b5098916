import type { KeyClient } from "@codex/contracts";
import type { Clock, KeyId } from "@codex/kernel";

/**
 * Which keys were used in this hour, for the registry, each told once an hour (SEC-38). In memory alone: what a killed worker
 * knew is told by the next use.
 */

export interface KeyUse {
  readonly keyId: KeyId;
  /** Its beginning. */
  readonly hour: Date;
  readonly client: KeyClient;
}

const hourMs = 3_600_000;
/** Keys remembered at most; one more makes everything forgotten and told again, which changes nothing. */
const keysMax = 100_000;
const reportMax = 1_000;

export class KeyUses {
  private readonly clock: Clock;
  private readonly seen = new Map<KeyId, number>();
  private waiting = new Map<KeyId, KeyUse>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** On the hot path: two look-ups, and nothing else within an hour. `client` is asked for only when it is told. */
  add(keyId: KeyId, client: () => KeyClient): void {
    const hour = Math.floor(this.clock.now().getTime() / hourMs) * hourMs;
    if (this.seen.get(keyId) === hour) return;
    if (this.seen.size >= keysMax) this.seen.clear();
    this.seen.set(keyId, hour);
    this.waiting.set(keyId, { keyId, hour: new Date(hour), client: client() });
  }

  /** Tells what waits. What could not be told waits on. Rejects with what `report` rejects with. */
  async flush(report: (uses: readonly KeyUse[]) => Promise<void>): Promise<void> {
    while (this.waiting.size > 0) {
      const uses = [...this.waiting.values()].slice(0, reportMax);
      await report(uses);
      // Only what was told: the next hour may have begun meanwhile.
      for (const use of uses) if (this.waiting.get(use.keyId) === use) this.waiting.delete(use.keyId);
    }
  }
}
