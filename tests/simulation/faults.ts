import type { Random } from "./random.ts";

/** How hard a seed is, decided at its begin; each seed has some of everything, and some seeds none of a kind. */
export class Faults {
  billingDown = false;
  busDown = false;
  /** Of one call or message. */
  lost: number;
  answerLost: number;
  duplicates: number;
  latencyMaxMs: number;

  constructor(random: Random) {
    const some = (most: number): number => (random.chance(0.3) ? 0 : random.fraction() * most);
    this.lost = some(0.1);
    this.answerLost = some(0.1);
    this.duplicates = some(0.3);
    this.latencyMaxMs = random.int(1, 400);
  }

  /** The world is well again, so everything must come to its end. */
  stop(): void {
    this.billingDown = false;
    this.busDown = false;
    this.lost = 0;
    this.answerLost = 0;
    this.duplicates = 0;
    this.latencyMaxMs = 5;
  }
}
