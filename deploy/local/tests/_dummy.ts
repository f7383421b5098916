import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { defaultBackOffMs, type ProcessSpec, type ProcessState } from "../managed-process.ts";

/** A folder of one test, gone when the test is. */
export function temporaryFolder(): { readonly path: string; [Symbol.dispose](): void } {
  const folder = mkdtempSync(path.join(os.tmpdir(), "codex-local-"));
  return { path: folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A stand-in for a service: answers 200 on its port, or misbehaves as told. Written as a file, since it is a program of its own. */
export function dummyProgram(folder: string, body: string): string {
  const file = path.join(folder, "dummy.cjs");
  writeFileSync(file, body);
  return file;
}

/** Serves until SIGTERM; every request but /ready ends it. */
export const servingBody = `
const server = require("node:http").createServer((req, res) => {
  if (req.url === "/crash") { console.log("asked to crash"); process.exit(7); }
  res.end("ok");
});
server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("listening"));
process.on("SIGTERM", () => { console.log("bye"); process.exit(0); });
`;

export function dummySpec(folder: string, program: string, port: number, more: Partial<ProcessSpec> = {}): ProcessSpec {
  return {
    name: "dummy",
    command: process.execPath,
    args: [program],
    cwd: folder,
    env: { PORT: String(port) },
    logFile: path.join(folder, "dummy.log"),
    readyUrl: `http://127.0.0.1:${String(port)}/ready`,
    readyTimeoutMs: 10_000,
    stopTimeoutMs: 5_000,
    backOffMs: defaultBackOffMs.map((ms) => ms / 50),
    provenMs: 60_000,
    ...more,
  };
}

/** Records what a managed process tells. */
export class Diary {
  readonly phases: string[] = [];
  readonly crashes: number[] = [];
  readonly recorded = new Map<number, string>();
  readonly watched = new Set<number>();
  readonly deps = {
    watchdog: {
      watch: (pid: number): void => void this.watched.add(pid),
      forget: (pid: number): void => void this.watched.delete(pid),
    },
    records: {
      add: (name: string, pid: number): void => void this.recorded.set(pid, name),
      remove: (pid: number): void => void this.recorded.delete(pid),
    },
    onChange: (state: ProcessState): void => void this.phases.push(state.phase),
    onCrash: (_state: ProcessState, restartInMs: number): void => void this.crashes.push(restartInMs),
  };
}
