import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { childEnvironment } from "./config.ts";
import { processIdentity } from "./process-identity.ts";
import type { Watchdog } from "./watchdog.ts";

const logBytesMax = 5 * 1024 * 1024;
const readyEveryMs = 40;

export interface ChildSpec {
  /** For messages: "Postgres". */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The name under which the program sees itself started, where it matters. */
  readonly argv0?: string;
  readonly user?: { readonly uid: number; readonly gid: number };
  readonly logFile: string;
  readonly pidFile: string;
  readonly stopSignal: "INT" | "TERM";
  readonly stopTimeoutMs: number;
  readonly readyTimeoutMs: number;
  /** One probe; false or a throw means "not yet". Must bound itself. */
  readonly ready: () => Promise<boolean>;
}

export interface ChildServer {
  readonly pid: number;
  /** Soft stop, then -9 at the deadline. Idempotent. */
  stop(): Promise<void>;
  /** -9 at once, as a crash would; resolves when it is gone. */
  kill(): Promise<void>;
}

export interface ChildDeps {
  readonly watchdog: Watchdog;
  readonly log: (line: string) => void;
}

/** A server that did not come up. The message ends with the last lines of its log. */
export class ChildStartError extends Error {
  readonly logTail: string;
  constructor(message: string, logTail: string) {
    super(logTail === "" ? message : `${message} Its log ends:\n${logTail}`);
    this.name = "ChildStartError";
    this.logTail = logTail;
  }
}

/** Starts one server in its own process group and waits until its probe succeeds. Throws ChildStartError. */
export async function startChild(spec: ChildSpec, deps: ChildDeps): Promise<ChildServer> {
  const { child, logOffset } = spawnLogged(spec);
  let failure: Error | undefined;
  let stopping = false;
  const exited = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      failure = error;
      resolve();
    });
    child.once("exit", (code, signal) => {
      if (child.pid !== undefined) deps.watchdog.forget(child.pid);
      rmSync(spec.pidFile, { force: true });
      const how = signal ?? `exit code ${String(code)}`;
      failure ??= new Error(`it ended with ${how}`);
      if (!stopping) deps.log(`${spec.name} ended by itself (${how}); its log is ${spec.logFile}`);
      resolve();
    });
  });
  const pid = child.pid;
  if (pid === undefined) {
    await exited;
    throw new ChildStartError(`${spec.name} could not be started: ${failure?.message ?? "unknown reason"}.`, "");
  }
  deps.watchdog.watch(pid, spec.stopSignal);
  writeFileSync(spec.pidFile, JSON.stringify({ pid, identity: processIdentity(pid) }), { mode: 0o600 });
  const end = async (signal: NodeJS.Signals, timeoutMs: number): Promise<void> => {
    stopping = true;
    await stopProcess(child, exited, signal, timeoutMs);
  };
  const server: ChildServer = {
    pid,
    stop: () => end(`SIG${spec.stopSignal}`, spec.stopTimeoutMs),
    kill: () => end("SIGKILL", spec.stopTimeoutMs),
  };
  const outcome = await untilReady(spec, () => failure);
  if (outcome === "ready") return server;
  stopping = true;
  await server.kill();
  const tail = logTail(spec.logFile, logOffset);
  const why = outcome === "ended" ? String(failure?.message) : `no answer within ${String(spec.readyTimeoutMs)} ms`;
  throw new ChildStartError(`${spec.name} did not start: ${why}.`, tail);
}

/**
 * Stops the server that a crashed run left behind, if the pid file still names that very process. Anything else (dead,
 * or the number belongs to another program now) only loses its pid file.
 */
export async function stopOrphan(
  spec: Pick<ChildSpec, "name" | "pidFile" | "stopSignal">,
  log: ChildDeps["log"],
): Promise<void> {
  const recorded = readPidFile(spec.pidFile);
  if (recorded !== undefined && processIdentity(recorded.pid) === recorded.identity) {
    log(`stopping ${spec.name} (pid ${String(recorded.pid)}) that an earlier run left behind`);
    await stopPid(recorded.pid, `SIG${spec.stopSignal}`, 10_000);
  }
  rmSync(spec.pidFile, { force: true });
}

/** Signals a process that is not our child and waits until it is gone; -9 at the deadline. */
export async function stopPid(pid: number, signal: NodeJS.Signals, timeoutMs: number): Promise<void> {
  for (const step of [signal, "SIGKILL"] as const) {
    if (processIdentity(pid) === undefined) return;
    send(pid, step);
    const startedMs = performance.now();
    while (performance.now() - startedMs < timeoutMs) {
      if (processIdentity(pid) === undefined) return;
      await delay(readyEveryMs);
    }
  }
  throw new Error(`process ${String(pid)} does not end, not even by SIGKILL`);
}

function spawnLogged(spec: ChildSpec): { child: ChildProcess; logOffset: number } {
  const size = statSync(spec.logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size > logBytesMax) renameSync(spec.logFile, `${spec.logFile}.1`);
  const log = openSync(spec.logFile, "a", 0o600);
  try {
    const child = spawn(spec.command, [...spec.args], {
      detached: true,
      cwd: "/",
      env: childEnvironment(),
      stdio: ["ignore", log, log],
      ...(spec.argv0 === undefined ? {} : { argv0: spec.argv0 }),
      ...(spec.user ?? {}),
    });
    return { child, logOffset: size > logBytesMax ? 0 : size };
  } finally {
    closeSync(log);
  }
}

async function untilReady(spec: ChildSpec, failure: () => Error | undefined): Promise<"ready" | "ended" | "timeout"> {
  const startedMs = performance.now();
  while (performance.now() - startedMs < spec.readyTimeoutMs) {
    if (failure() !== undefined) return "ended";
    const ready = await spec.ready().catch(() => false);
    // The probe may have reached another program that took the port first; only a living child counts.
    if (ready && failure() === undefined) return "ready";
    await delay(readyEveryMs);
  }
  return failure() === undefined ? "timeout" : "ended";
}

async function stopProcess(
  child: ChildProcess,
  exited: Promise<void>,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return exited;
  send(child.pid, signal);
  const timer = setTimeout(() => {
    if (child.pid !== undefined) send(-child.pid, "SIGKILL");
  }, timeoutMs);
  await exited;
  clearTimeout(timer);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already, which is what was asked for.
  }
}

function readPidFile(file: string): { pid: number; identity: string } | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof value !== "object" || value === null || !("pid" in value) || !("identity" in value)) return undefined;
    const { pid, identity } = value;
    return typeof pid === "number" && typeof identity === "string" ? { pid, identity } : undefined;
  } catch {
    return undefined;
  }
}

function logTail(file: string, offset: number): string {
  try {
    const text = readFileSync(file).subarray(offset).toString("utf8");
    return text.trim().split("\n").slice(-12).join("\n");
  } catch {
    return "";
  }
}
