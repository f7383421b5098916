import { spawn } from "node:child_process";
import { Problem } from "./problem.ts";

export interface ToolRun {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const outputCharsMax = 64_000;

/**
 * Runs a program to its end and returns what it said on stdout and stderr, in order, at most the last 64,000 characters.
 * Throws a {@link Problem} with the last lines when it fails or takes too long; throws the abort reason when stopped.
 */
export async function runTool(what: string, run: ToolRun): Promise<string> {
  run.signal.throwIfAborted();
  const child = spawn(run.command, [...run.args], {
    cwd: run.cwd,
    env: run.env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  const keep = (chunk: string): void => {
    output = (output + chunk).slice(-outputCharsMax);
  };
  child.stdout.setEncoding("utf8").on("data", keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  const timer = { late: false };
  const end = (): void => {
    // The whole group: compilers have workers.
    if (child.pid !== undefined) killGroup(child.pid);
  };
  const timeout = setTimeout(() => {
    timer.late = true;
    end();
  }, run.timeoutMs);
  run.signal.addEventListener("abort", end, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    run.signal.throwIfAborted();
    if (code === 0) return output;
    const how = timer.late
      ? `took longer than ${String(run.timeoutMs / 1000)} s`
      : `ended with exit code ${String(code)}`;
    throw new Problem(`${what} ${how}. What it said last:`, { lines: output.trimEnd().split("\n").slice(-20) });
  } finally {
    clearTimeout(timeout);
    run.signal.removeEventListener("abort", end);
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGTERM");
  } catch {
    // Gone already.
  }
}
