import { setTimeout as delay } from "node:timers/promises";
import { verifyActs, type ChainState } from "./audit-log.ts";
import type { Db } from "./pool.ts";

/** A day: the whole log is read each time, a second for a hundred thousand lines. */
const everyMs = 86_400_000;

export interface ActWatch {
  /** Called with every result; `broken` is what an alarm is for. */
  readonly found: (state: ChainState) => void;
  /** The log could not be read; the next day tries again. */
  readonly failed: (error: unknown) => void;
}

/** Verifies the audit log once at start and then each day; every replica does. `stop` resolves when the one under way has ended. */
export function watchActs<Tables>(db: Db<Tables>, { found, failed }: ActWatch): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      await verifyActs(db, signal).then(found, failed);
      await delay(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  };
  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
