import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Watchdog } from "../../libs/testkit/src/watchdog.ts";
import { lastLines } from "./files.ts";
import type { ProcessRecords } from "./owned-processes.ts";
import { Problem } from "./problem.ts";

/** One program that is kept running. */
export interface ProcessSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Answers 2xx when the program may get traffic. */
  readonly readyUrl: string;
  readonly readyTimeoutMs: number;
  readonly stopTimeoutMs: number;
  /** Pauses before the 1st, 2nd, … restart in a row; the last one is used from then on. */
  readonly backOffMs: readonly number[];
  /** Alive this long, a process has proven itself and the pauses begin anew. */
  readonly provenMs: number;
}

export type ProcessPhase = "starting" | "ready" | "waiting" | "stopped";

export interface ProcessState {
  readonly name: string;
  readonly phase: ProcessPhase;
  readonly pid: number | undefined;
  readonly restarts: number;
  /** ISO instant of the last start of the program. */
  readonly startedAt: string | undefined;
  /** "exit code 1", "SIGKILL": how it ended last, if it ever did by itself. */
  readonly lastExit: string | undefined;
}

export interface ProcessDeps {
  readonly watchdog: Pick<Watchdog, "watch" | "forget">;
  readonly records: Pick<ProcessRecords, "add" | "remove">;
  /** After each change of state. */
  readonly onChange: (state: ProcessState) => void;
  /** It ended by itself after it had been ready. `restartInMs` is the pause before the next try. */
  readonly onCrash: (state: ProcessState, restartInMs: number) => void;
}

export const defaultBackOffMs = [500, 1_000, 2_000, 5_000, 10_000, 30_000] as const;
const logBytesMax = 10 * 1024 * 1024;
const readyEveryMs = 60;
const readyProbeTimeoutMs = 2_000;

/**
 * Starts a program in a process group of its own (so that Ctrl-C in a terminal reaches only us), waits for its readiness,
 * and starts it again when it dies later. A program that dies before it was ever ready is a failed start, not a crash.
 */
export class ManagedProcess {
  private readonly spec: ProcessSpec;
  private readonly deps: ProcessDeps;
  private child: ChildProcess | undefined;
  private exited: Promise<void> = Promise.resolve();
  private readonly stopping = new AbortController();
  private phase: ProcessPhase = "stopped";
  private restarts = 0;
  private failuresInRow = 0;
  private startedAt: Date | undefined;
  private lastExit: string | undefined;
  private everReady = false;
  /** Where the log of the present try begins. */
  private logOffset = 0;

  constructor(spec: ProcessSpec, deps: ProcessDeps) {
    this.spec = spec;
    this.deps = deps;
  }

  state(): ProcessState {
    return {
      name: this.spec.name,
      phase: this.phase,
      pid: this.child?.pid,
      restarts: this.restarts,
      startedAt: this.startedAt?.toISOString(),
      lastExit: this.lastExit,
    };
  }

  /** Resolves when ready. Throws a {@link Problem} with the end of the log when it ends or the deadline passes first. */
  async start(): Promise<void> {
    this.spawnOnce();
    const outcome = await this.untilReady();
    if (outcome === "ready") {
      this.everReady = true;
      return;
    }
    const why =
      outcome === "ended"
        ? `ended with ${this.lastExit ?? "no reason"}`
        : `was not ready within ${seconds(this.spec.readyTimeoutMs)}`;
    await this.stop();
    throw new Problem(`${this.spec.name} did not start: it ${why}. The last lines of ${this.spec.logFile}:`, {
      lines: lastLines(this.spec.logFile, 20, this.logOffset),
    });
  }

  /** SIGTERM, then SIGKILL at the deadline. No restart from now on. Idempotent. */
  async stop(): Promise<void> {
    this.stopping.abort();
    const child = this.child;
    if (child !== undefined) {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), this.spec.stopTimeoutMs);
      await this.exited;
      clearTimeout(timer);
    }
    this.setPhase("stopped");
  }

  private spawnOnce(): void {
    const log = openLog(this.spec.logFile);
    this.logOffset = fstatSync(log).size;
    const child = spawn(this.spec.command, [...this.spec.args], {
      cwd: this.spec.cwd,
      env: this.spec.env,
      detached: true,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    this.child = child;
    this.startedAt = new Date();
    this.exited = new Promise((resolve) => {
      child.once("error", (error) => {
        // Only a program that could not be spawned has no pid; a failed signal also comes here and means nothing.
        if (child.pid !== undefined) return;
        this.afterExit(child, error.message);
        resolve();
      });
      child.once("exit", (code, signal) => {
        this.afterExit(child, signal ?? `exit code ${String(code)}`);
        resolve();
      });
    });
    if (child.pid !== undefined) {
      this.deps.watchdog.watch(child.pid, "TERM");
      this.deps.records.add(this.spec.name, child.pid);
    }
    this.setPhase("starting");
  }

  private afterExit(child: ChildProcess, how: string): void {
    if (child.pid !== undefined) {
      this.deps.watchdog.forget(child.pid);
      this.deps.records.remove(child.pid);
    }
    this.child = undefined;
    if (this.stopping.signal.aborted) return;
    this.lastExit = how;
    const aliveMs = Date.now() - (this.startedAt?.getTime() ?? 0);
    this.failuresInRow = aliveMs >= this.spec.provenMs ? 1 : this.failuresInRow + 1;
    if (this.everReady) void this.restartLater();
    else this.setPhase("stopped");
  }

  private async restartLater(): Promise<void> {
    const index = Math.min(this.failuresInRow, this.spec.backOffMs.length) - 1;
    const pauseMs = this.spec.backOffMs[index] ?? 30_000;
    this.setPhase("waiting");
    this.deps.onCrash(this.state(), pauseMs);
    await delay(pauseMs, undefined, { signal: this.stopping.signal }).catch(() => undefined);
    if (this.stopping.signal.aborted) return;
    this.restarts += 1;
    this.spawnOnce();
    await this.untilReady();
  }

  private async untilReady(): Promise<"ready" | "ended" | "late"> {
    const child = this.child;
    const deadlineMs = performance.now() + this.spec.readyTimeoutMs;
    while (performance.now() < deadlineMs) {
      const ready = await answers(this.spec.readyUrl);
      // The probe may have reached another program on the same port; only a living child counts.
      if (!this.runs(child)) return "ended";
      if (ready) {
        this.setPhase("ready");
        return "ready";
      }
      await delay(readyEveryMs);
    }
    return "late";
  }

  private runs(child: ChildProcess | undefined): boolean {
    return child !== undefined && this.child === child;
  }

  private setPhase(phase: ProcessPhase): void {
    this.phase = phase;
    this.deps.onChange(this.state());
  }
}

/** Whether the URL answers 2xx within two seconds. */
export async function answers(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(readyProbeTimeoutMs) });
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}

/** Appends; a log that grew past 10 MB becomes `<name>.log.1` first, so two files bound what is kept. */
function openLog(file: string): number {
  mkdirSync(path.dirname(file), { recursive: true });
  const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes > logBytesMax) renameSync(file, `${file}.1`);
  return openSync(file, "a", 0o600);
}

function seconds(ms: number): string {
  return `${String(Math.round(ms / 1000))} s`;
}
