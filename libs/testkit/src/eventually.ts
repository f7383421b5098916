import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "./error-text.ts";

export interface EventuallyOptions {
  /** Deadline, milliseconds; 5000 unless told. */
  readonly timeoutMs?: number;
  /** Pause between two tries, milliseconds; 25 unless told. */
  readonly everyMs?: number;
  /** What is awaited, for the message: "the debit of request X". */
  readonly what: string;
}

/**
 * Polls until the check gives anything but undefined or false, and returns it. A check that throws counts as "not yet".
 * Throws at the deadline, naming what was awaited, with the last failure as cause. One try is made after the deadline's
 * last pause, so a slow machine gets the whole time.
 */
export async function eventually<T>(
  check: () => Promise<T | undefined | false> | T | undefined | false,
  options: EventuallyOptions,
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? 5000;
  const everyMs = options.everyMs ?? 25;
  const startedMs = performance.now();
  let last: unknown;
  for (;;) {
    const final = performance.now() - startedMs >= timeoutMs;
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (final) break;
    await delay(Math.min(everyMs, Math.max(1, timeoutMs - (performance.now() - startedMs))));
  }
  const because = last === undefined ? "" : `: ${errorText(last)}`;
  throw new Error(`${options.what} did not happen within ${String(timeoutMs)} ms${because}`, { cause: last });
}
