import { setTimeout as delay } from "node:timers/promises";

/**
 * Runs `round` again and again, `everyMs` after the one before has ended, never two at once. A round that fails is reported
 * and the next one comes all the same. The first starts at once. `stop` waits for a running round.
 */
export function startRounds(job: {
  readonly everyMs: number;
  readonly round: (signal: AbortSignal) => Promise<void>;
  readonly onFailure: (error: unknown) => void;
}): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const running = (async () => {
    while (!signal.aborted) {
      await job.round(signal).catch((error: unknown) => job.onFailure(error));
      await delay(job.everyMs, undefined, { signal }).catch(() => undefined);
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
