import { AsyncLocalStorage } from "node:async_hooks";
import { syncBuiltinESMExports } from "node:module";
import timersPromises from "node:timers/promises";

/**
 * Time that moves only when nothing is left to do, and timers that run on it. While it is installed, the product's setTimeout,
 * setInterval and `delay` are these; so the code under test is the code that ships.
 *
 * Glossary
 *   process  whose code set a timer; what a dead process has set never fires, and what a paused one has set fires late
 */

export interface SimulatedProcess {
  readonly name: string;
  dead: boolean;
  pausedUntilMs: number;
}

interface Timer {
  atMs: number;
  order: number;
  readonly owner: SimulatedProcess | null;
  readonly everyMs: number | undefined;
  readonly run: () => void;
  cancelled: boolean;
}

const realImmediate = setImmediate;
const real = { setTimeout, setInterval, clearTimeout, clearInterval, delay: timersPromises.setTimeout };
const owners = new AsyncLocalStorage<SimulatedProcess>();

export class VirtualTime {
  nowMs = 0;
  private readonly heap: Timer[] = [];
  private order = 0;
  private failure: Error | undefined;

  /** Runs `work` as the process: its timers belong to it. */
  as<T>(owner: SimulatedProcess, work: () => T): T {
    return owners.run(owner, work);
  }

  /** `owner` null: the world's own, whoever asks. */
  after(
    delayMs: number,
    run: () => void,
    everyMs?: number,
    owner: SimulatedProcess | null = owners.getStore() ?? null,
  ): Timer {
    const timer: Timer = {
      atMs: this.nowMs + Math.max(0, delayMs),
      order: (this.order += 1),
      owner,
      everyMs,
      run,
      cancelled: false,
    };
    this.push(timer);
    return timer;
  }

  /** Resolves at the time, on behalf of nobody: the caller is the world, not a process. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Runs everything up to the time, or until `done` says so. Throws what a timer threw. */
  async runUntil(untilMs: number, done: () => boolean = () => false): Promise<void> {
    for (;;) {
      const next = this.heap[0];
      if (next === undefined || next.atMs > untilMs || done()) break;
      this.pop();
      this.nowMs = Math.max(this.nowMs, next.atMs);
      if (this.fire(next)) await new Promise((resolve) => realImmediate(resolve));
      if (this.failure !== undefined) throw this.failure;
    }
    if (!done()) this.nowMs = Math.max(this.nowMs, untilMs);
  }

  /** What ends the run wherever it was noticed. */
  fail(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error(String(error));
  }

  private fire(timer: Timer): boolean {
    const { owner } = timer;
    if (timer.cancelled || owner?.dead) return false;
    if (owner && owner.pausedUntilMs > this.nowMs) {
      timer.atMs = owner.pausedUntilMs;
      this.push(timer);
      return false;
    }
    if (timer.everyMs !== undefined) {
      timer.atMs = this.nowMs + timer.everyMs;
      timer.order = this.order += 1;
      this.push(timer);
    }
    if (owner) owners.run(owner, timer.run);
    else owners.exit(timer.run);
    return true;
  }

  private push(timer: Timer): void {
    const { heap } = this;
    heap.push(timer);
    for (let place = heap.length - 1; place > 0;) {
      const parent = (place - 1) >> 1;
      if (!this.swapUnless(parent, place)) break;
      place = parent;
    }
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let place = 0; ;) {
      const left = 2 * place + 1;
      if (left >= heap.length) break;
      const child = left + 1 < heap.length && !this.before(left, left + 1) ? left + 1 : left;
      if (!this.swapUnless(place, child)) break;
      place = child;
    }
  }

  /** Puts the earlier one above; false when it was there. */
  private swapUnless(above: number, below: number): boolean {
    const [upper, lower] = [this.heap[above], this.heap[below]];
    if (!upper || !lower || this.before(above, below)) return false;
    this.heap[above] = lower;
    this.heap[below] = upper;
    return true;
  }

  private before(left: number, right: number): boolean {
    const [one, other] = [this.heap[left], this.heap[right]];
    if (!one || !other) return true;
    return one.atMs < other.atMs || (one.atMs === other.atMs && one.order <= other.order);
  }

  /** Puts this time in the place of the real one; the answer puts the real one back. */
  install(): () => void {
    const scope = globalThis as unknown as Record<string, unknown>;
    const cancel = (timer: unknown): void => {
      if (typeof timer === "object" && timer !== null && "cancelled" in timer) timer.cancelled = true;
    };
    scope["setTimeout"] = (run: () => void, ms = 0) => this.after(ms, run);
    scope["setInterval"] = (run: () => void, ms = 1) => this.after(ms, run, ms);
    scope["clearTimeout"] = cancel;
    scope["clearInterval"] = cancel;
    const promises = timersPromises as unknown as Record<string, unknown>;
    promises["setTimeout"] = (ms: number) => this.sleep(ms);
    syncBuiltinESMExports();
    return () => {
      const { delay, ...globals } = real;
      Object.assign(scope, globals);
      promises["setTimeout"] = delay;
      syncBuiltinESMExports();
    };
  }
}
