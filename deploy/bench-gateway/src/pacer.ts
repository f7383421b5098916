/**
 * Calls each member once an interval, spread over it by when it joined, from one timer of a millisecond: thousands of timers
 * would cost the upstream more than its answers.
 */
export class Pacer<T> {
  private readonly slots: Set<T>[];
  private readonly turn: (member: T) => void;
  private atMs = Math.floor(performance.now());
  private timer: NodeJS.Timeout | undefined;
  private size = 0;

  constructor(everyMs: number, turn: (member: T) => void) {
    this.slots = Array.from({ length: everyMs }, () => new Set<T>());
    this.turn = turn;
  }

  /** The first turn comes after a whole interval. Answers how to leave. */
  join(member: T): () => void {
    if (this.timer === undefined) {
      this.atMs = Math.floor(performance.now());
      this.timer = setInterval(() => this.tick(), 1);
    }
    const slot = this.slots[Math.floor(performance.now()) % this.slots.length];
    slot?.add(member);
    this.size += 1;
    return () => {
      if (slot?.delete(member) !== true) return;
      this.size -= 1;
      if (this.size > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    };
  }

  /** A late tick takes the slots that it missed as well. */
  private tick(): void {
    const nowMs = Math.floor(performance.now());
    for (let ms = Math.max(this.atMs, nowMs - this.slots.length) + 1; ms <= nowMs; ms += 1) {
      for (const member of this.slots[ms % this.slots.length] ?? []) this.turn(member);
    }
    this.atMs = nowMs;
  }
}
