import { once } from "node:events";
import type { ServerResponse } from "node:http";

/** Resolves when the client has read on, or is gone; one that does not read on for this long is cut off. */
export async function drained(res: ServerResponse, stalledReaderMs: number): Promise<void> {
  if (res.destroyed) return;
  const stop = new AbortController();
  const timer = setTimeout(() => res.destroy(), stalledReaderMs);
  await Promise.race([
    once(res, "drain", { signal: stop.signal }),
    once(res, "close", { signal: stop.signal }),
  ]).finally(() => {
    clearTimeout(timer);
    stop.abort();
  });
}
