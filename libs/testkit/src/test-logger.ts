import { createLogger, type Logger } from "@codex/runtime";
import { appendFileSync, mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { testLogFile } from "./config.ts";

/** A line of a worker's file: what the service's logger wrote, and where Jest was at that moment. */
export interface TestLogLine {
  readonly level: string;
  readonly service: string;
  readonly event: string;
  /** Absolute path of the test file. */
  readonly testFile?: string;
  /** As in Jest's report: the names of the blocks and of the test, one space between. Absent before the first test. */
  readonly test?: string;
}

/** Of one worker in one run; a service that complains in a circle must not fill the disk. */
const bytesMax = 32 * 1024 * 1024;

/**
 * The logger of a service that a test starts in its own process, or of a bus it connects. Keeps warnings and errors in the
 * folder of the run (.codex/test-log, one file a worker of Jest, emptied at the start of a run); the reporter prints those of
 * failed tests. Says nothing outside a run of Jest.
 */
export function testLogger(service: string): Logger {
  const file = testLogFile();
  if (file !== undefined) mkdirSync(path.dirname(file), { recursive: true });
  return createLogger({
    service,
    level: file === undefined ? "silent" : "warn",
    destination: {
      write: (line) => {
        if (file === undefined || sizeOf(file) > bytesMax) return;
        const { currentTestName: test, testPath: testFile } = jestState();
        appendFileSync(file, `${JSON.stringify({ ...(JSON.parse(line) as object), testFile, test })}\n`);
      },
    },
  });
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

interface JestState {
  readonly currentTestName?: string;
  readonly testPath?: string;
}

/** Jest tells where it is through its global `expect`. */
function jestState(): JestState {
  const { expect } = globalThis as { readonly expect?: { getState(): JestState } };
  return expect?.getState() ?? {};
}
