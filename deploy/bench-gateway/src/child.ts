import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Watchdog } from "../../../libs/testkit/src/watchdog.ts";
import { passedEnvironment } from "./config.ts";

export interface ChildSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Any answer but a 5xx means that it may be asked. */
  readonly readyUrl: string;
}

export interface Child {
  readonly pid: number;
  /** SIGTERM, and SIGKILL after 27 s. Idempotent. */
  stop(): Promise<void>;
}

const readyTimeoutMs = 45_000;
const stopTimeoutMs = 27_000;

/** Starts a program and waits until it answers. Throws with the end of its log when it does not within 45 s. */
export async function startChild(spec: ChildSpec, watchdog: Pick<Watchdog, "watch" | "forget">): Promise<Child> {
  const log = openSync(spec.logFile, "a", 0o600);
  const child = spawn(spec.command, [...spec.args], {
    env: { ...passedEnvironment(), ...spec.env },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${spec.name} could not be started: ${spec.command}`);
  watchdog.watch(pid, "TERM");
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
    if (!hasEnded(child)) await exited;
    clearTimeout(timer);
    watchdog.forget(pid);
  };
  const untilMs = performance.now() + readyTimeoutMs;
  while (performance.now() < untilMs && !hasEnded(child)) {
    if (await answers(spec.readyUrl)) return { pid, stop };
    await delay(50);
  }
  await stop();
  const said = readFileSync(spec.logFile, "utf8").trimEnd().split("\n").slice(-6).join("\n");
  throw new Error(`${spec.name} did not become ready; its log ends:\n${said}`);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.status < 500;
  } catch {
    return false;
  }
}
