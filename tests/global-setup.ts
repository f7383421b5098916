import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { infraHandle } from "./infra-handle.ts";
import { testLogFolder } from "./test-log-folder.ts";

const startTimeoutMs = 240_000;

/** Jest's global set-up: the servers of the whole run, owned by a process of their own, and an empty log (see libs/testkit/README.md). */
// eslint-disable-next-line no-restricted-syntax -- Jest calls the default export.
export default async function globalSetup(): Promise<void> {
  // eslint-disable-next-line no-restricted-syntax -- the environment is how Jest hands values to its workers.
  const environment = process.env;
  // Set already in a run inside a run, which adds to the outer one's log.
  if (environment["CODEX_TEST_LOG"] === undefined) rmSync(testLogFolder, { recursive: true, force: true });
  environment["CODEX_TEST_LOG"] = testLogFolder;
  if (environment["CODEX_TEST_INFRA"] === "none" || environment["CODEX_TEST_INFRA_URLS"] !== undefined) return;
  const program = path.resolve(import.meta.dirname, "../libs/testkit/src/infra-process.ts");
  const child = spawn(process.execPath, ["--conditions=codex:source", program], {
    // With KEEP_TEST_DB=1 the servers outlive the run, Ctrl-C included.
    detached: environment["KEEP_TEST_DB"] === "1",
    stdio: ["pipe", "pipe", "inherit"],
  });
  infraHandle.set(child);
  environment["CODEX_TEST_INFRA_URLS"] = await firstLine(child.stdout);
}

async function firstLine(output: NodeJS.ReadableStream): Promise<string> {
  const timer = AbortSignal.timeout(startTimeoutMs);
  for await (const line of createInterface({ input: output, signal: timer })) {
    const message: unknown = JSON.parse(line);
    if (typeof message === "object" && message !== null && "failure" in message) {
      throw new Error(`The servers for the tests did not start.\n${String(message.failure)}`);
    }
    return line;
  }
  throw new Error("The servers for the tests did not start: no answer.");
}
