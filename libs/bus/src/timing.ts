/** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** Exponential delay for attempt 1, 2, 3 …, bounded, with ±20 % of jitter so that replicas do not march in step. */
export function backoffMs(attempt: number, baseMs: number, maxMs: number): number {
  const exact = Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(exact * (0.8 + Math.random() * 0.4));
}

/** Waits for the work, at most `ms`. True when the work ended (well or badly) in time. */
export async function settledWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  const ended = work.then(
    () => true,
    () => true,
  );
  const late = pause(ms, timer.signal).then(() => false);
  try {
    return await Promise.race([ended, late]);
  } finally {
    timer.abort();
  }
}

/** Resolves when the work has ended, well or badly. */
export async function settled(work: Promise<unknown>): Promise<void> {
  await work.then(ignore, ignore);
}

function ignore(): void {
  // Whoever started the work looks at how it ended.
}

/** A counting semaphore in arrival order. */
export class Slots {
  private readonly max: number;
  private taken = 0;
  private readonly queue: (() => void)[] = [];
  private idleWaiters: (() => void)[] = [];

  constructor(max: number) {
    this.max = max;
  }

  get inFlight(): number {
    return this.taken;
  }

  get waiting(): number {
    return this.queue.length;
  }

  acquire(): Promise<void> {
    if (this.taken < this.max) {
      this.taken += 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.queue.push(resolve));
  }

  /** Hands the slot to the longest waiting, if any. */
  release(): void {
    const next = this.queue.shift();
    if (next) {
      next();
      return;
    }
    this.taken -= 1;
    if (this.taken === 0) for (const waiter of this.idleWaiters.splice(0)) waiter();
  }

  /** Resolves when nobody holds or awaits a slot. */
  idle(): Promise<void> {
    return this.taken === 0 ? Promise.resolve() : new Promise((resolve) => this.idleWaiters.push(resolve));
  }
}
