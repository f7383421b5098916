/**
 * What an AbortController says, once and to few. Two of those a request, with their event listeners and undici's beside them,
 * stood out in its CPU profile (docs/performance.md). Who needs a real signal makes one.
 */

export interface Cancelled {
  readonly aborted: boolean;
  /** Undefined until it is aborted. */
  readonly reason: unknown;
  /** `listener` is called once, at once when it has happened already; it must not throw. Answers how to stop listening. */
  onAbort(listener: () => void): () => void;
}

export class Cancellation implements Cancelled {
  aborted = false;
  reason: unknown;
  private listeners: (() => void)[] = [];

  /** The first reason stays. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (const listener of this.listeners.splice(0)) listener();
  }

  onAbort(listener: () => void): () => void {
    if (this.aborted) {
      listener();
      return () => undefined;
    }
    this.listeners.push(listener);
    return () => {
      const at = this.listeners.indexOf(listener);
      if (at >= 0) this.listeners.splice(at, 1);
    };
  }
}

export function cancelledBy(signal: AbortSignal): Cancelled {
  const cancellation = new Cancellation();
  const abort = (): void => cancellation.abort(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return cancellation;
}
