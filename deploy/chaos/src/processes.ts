import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Watchdog } from "../../../libs/testkit/src/watchdog.ts";

/** One program of ours that is kept running as a supervisor would, and can be killed, stopped and continued. */

export interface ProgramSpec {
  /** "billing-1" */
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Answers 2xx when the program may get traffic. */
  readonly readyUrl: string;
}

/** A supervisor needs a moment to notice. */
const restartDelayMs = 200;
const readyEveryMs = 25;
const readyProbeMs = 1_000;
const startTimeoutMs = 45_000;
const stopTimeoutMs = 27_000;

export class Program {
  readonly name: string;
  /** Times it ended though nobody here had killed it, with what it said. */
  readonly endedByItself: string[] = [];
  private readonly spec: ProgramSpec;
  private readonly watchdog: Pick<Watchdog, "watch" | "forget">;
  private child: ChildProcess | undefined;
  private exited: Promise<void> = Promise.resolve();
  private wanted = false;
  private held = false;
  private killing = false;
  private running: Promise<void> = Promise.resolve();
  private wake = new AbortController();

  constructor(spec: ProgramSpec, watchdog: Pick<Watchdog, "watch" | "forget">) {
    this.name = spec.name;
    this.spec = spec;
    this.watchdog = watchdog;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Starts it and goes on starting it whenever it ends. Resolves when it is ready; throws after 45 s. */
  async start(): Promise<void> {
    this.wanted = true;
    this.running = this.supervise();
    if (!(await this.untilReady(startTimeoutMs))) {
      await this.stop();
      throw new Error(
        `${this.name} was not ready within ${String(startTimeoutMs / 1000)} s; its log is ${this.spec.logFile}`,
      );
    }
  }

  /** True when it answers that it is ready. */
  async isReady(): Promise<boolean> {
    if (this.child === undefined) return false;
    try {
      const response = await fetch(this.spec.readyUrl, { signal: AbortSignal.timeout(readyProbeMs) });
      await response.arrayBuffer();
      return response.ok;
    } catch {
      return false;
    }
  }

  async untilReady(timeoutMs: number): Promise<boolean> {
    const untilMs = performance.now() + timeoutMs;
    while (performance.now() < untilMs) {
      if (await this.isReady()) return true;
      await delay(readyEveryMs);
    }
    return false;
  }

  /** SIGKILL; the supervisor starts it again after 200 ms, or when {@link release} is called after `hold`. */
  kill(options: { readonly hold?: boolean } = {}): void {
    this.held = options.hold === true;
    if (this.child === undefined) return;
    this.killing = true;
    this.child.kill("SIGKILL");
  }

  release(): void {
    this.held = false;
    this.wake.abort();
  }

  pause(): void {
    this.child?.kill("SIGSTOP");
  }

  resume(): void {
    this.child?.kill("SIGCONT");
  }

  /** SIGTERM, and SIGKILL when that does not help. Not started again. Idempotent. */
  async stop(): Promise<void> {
    this.wanted = false;
    this.release();
    const { child } = this;
    if (child !== undefined) {
      child.kill("SIGCONT");
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
      await this.exited;
      clearTimeout(timer);
    }
    await this.running;
  }

  /** At once and for good. */
  killForGood(): void {
    this.wanted = false;
    this.kill();
    this.release();
  }

  /** What the last line of its log says happened. */
  private lastWords(): string {
    const last = readFileSync(this.spec.logFile, "utf8").trimEnd().split("\n").at(-1) ?? "";
    return /"event":"([^"]*)"/.exec(last)?.[1] ?? last.slice(0, 200);
  }

  private async supervise(): Promise<void> {
    while (this.isWanted()) {
      this.spawnOnce();
      await this.exited;
      this.wake = new AbortController();
      if (!this.isWanted()) return;
      await delay(restartDelayMs);
      while (this.held) await delay(60_000, undefined, { signal: this.wake.signal }).catch(() => undefined);
    }
  }

  /** Changes while somebody waits, which a plain field does not say. */
  private isWanted(): boolean {
    return this.wanted;
  }

  private spawnOnce(): void {
    const log = openSync(this.spec.logFile, "a", 0o600);
    const child = spawn(process.execPath, [...this.spec.args], {
      cwd: "/",
      env: this.spec.env,
      detached: true,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    this.child = child;
    this.exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        if (child.pid !== undefined) this.watchdog.forget(child.pid);
        this.child = undefined;
        if (this.wanted && !this.killing) this.endedByItself.push(`${how}, ${this.lastWords()}`);
        this.killing = false;
        resolve();
      };
      child.once("exit", (code, signal) => ended(signal ?? `exit code ${String(code)}`));
      child.once("error", (error) => {
        if (child.pid === undefined) ended(error.message);
      });
    });
    if (child.pid !== undefined) this.watchdog.watch(child.pid, "TERM");
  }
}
