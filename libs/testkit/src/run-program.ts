import { execFile } from "node:child_process";
import { childEnvironment } from "./config.ts";

export interface RunOptions {
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly user?: { readonly uid: number; readonly gid: number };
}

export interface RunResult {
  /** Ended with exit code 0. */
  readonly ok: boolean;
  /** Both streams, at most one megabyte each. */
  readonly output: string;
}

/** Runs a program to its end. Never throws: a missing program or a timeout is `ok: false` with the reason as output. */
export function runProgram(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  return new Promise((resolve) => {
    execFile(
      command,
      [...args],
      {
        timeout: options.timeoutMs,
        killSignal: "SIGKILL",
        maxBuffer: 1024 * 1024,
        cwd: options.cwd ?? "/",
        env: options.env ?? childEnvironment(),
        ...(options.user ?? {}),
      },
      (error, stdout, stderr) => {
        const said = `${stdout}${stderr}`.trim();
        resolve({ ok: error === null, output: said === "" && error !== null ? error.message : said });
      },
    );
  });
}
