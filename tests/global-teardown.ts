import { once } from "node:events";
import { infraHandle } from "./infra-handle.ts";

const stopTimeoutMs = 60_000;

/** Ends the input of the process that owns the servers, and waits until it has stopped them; not when they are kept. */
// eslint-disable-next-line no-restricted-syntax -- Jest calls the default export.
export default async function globalTeardown(): Promise<void> {
  const child = infraHandle.take();
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  // eslint-disable-next-line no-restricted-syntax -- read once, where Jest ends the run.
  if (process.env["KEEP_TEST_DB"] === "1") {
    child.stdin?.end();
    child.stdout?.destroy();
    child.unref();
    return;
  }
  const ended = once(child, "exit", { signal: AbortSignal.timeout(stopTimeoutMs) });
  child.stdin?.end();
  await ended;
}
