import { spawn } from "node:child_process";
import type { Watchdog } from "../../../libs/testkit/src/watchdog.ts";

export interface ProgramRun {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface ProgramEnd {
  /** "exit code 0", "killed after 120 s", or why it could not be started. */
  readonly how: string;
  readonly clean: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** Of each stream the last so many characters are kept. */
const outputCharsMax = 1_000_000;

/** Runs a program with all that it starts to its end, its time or the signal. Never rejects. */
export function runProgram(run: ProgramRun, watchdog: Pick<Watchdog, "watch" | "forget">): Promise<ProgramEnd> {
  const child = spawn(run.command, [...run.args], { cwd: run.cwd, env: run.env, stdio: "pipe", detached: true });
  const { pid } = child;
  if (pid !== undefined) watchdog.watch(pid, "TERM");
  const kept = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      kept[name] = (kept[name] + chunk).slice(-outputCharsMax);
    });
  }
  // A program that ends without reading its input says so by its exit code.
  child.stdin.on("error", () => undefined).end(run.stdin);
  let killed: string | undefined;
  const kill = (why: string): void => {
    killed ??= why;
    if (pid !== undefined) killGroup(pid);
  };
  const timer = setTimeout(() => kill(`killed after ${String(run.timeoutMs / 1_000)} s`), run.timeoutMs);
  const onAbort = (): void => kill("interrupted");
  run.signal.addEventListener("abort", onAbort, { once: true });
  return new Promise((resolve) => {
    const end = (how: string, clean: boolean): void => {
      clearTimeout(timer);
      run.signal.removeEventListener("abort", onAbort);
      if (pid !== undefined) {
        // What it left running would otherwise go on asking.
        killGroup(pid);
        watchdog.forget(pid);
      }
      resolve({ how: killed ?? how, clean: clean && killed === undefined, ...kept });
    };
    child.once("error", (error) => end(error.message, false));
    child.once("exit", () => setTimeout(() => child.stdout.destroy(), lateOutputMs).unref());
    child.once("close", (code, signal) => end(signal ?? `exit code ${String(code)}`, code === 0));
  });
}

/** A grandchild that keeps the pipe must not keep us. */
const lateOutputMs = 5_000;

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // All of it is gone.
  }
}
