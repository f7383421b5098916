import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { processIdentity } from "../../libs/testkit/src/process-identity.ts";
import { readJsonIfWhole, writePrivateJson } from "./files.ts";
import type { Paths } from "./paths.ts";

/**
 * The processes of a running system by pid and start time, on disk. A supervisor that is killed with -9 cannot stop its
 * children: its watchdog does, and where that was killed too, the next start or stop finds them here.
 */

const record = z.object({ name: z.string(), pid: z.number().int().positive(), identity: z.string() });
export type ProcessRecord = z.infer<typeof record>;

const pollMs = 50;

export class ProcessRecords {
  private readonly file: string;
  private readonly records = new Map<number, ProcessRecord>();

  constructor(file: string) {
    this.file = file;
  }

  add(name: string, pid: number): void {
    const identity = processIdentity(pid);
    if (identity === undefined) return;
    this.records.set(pid, { name, pid, identity });
    this.write();
  }

  remove(pid: number): void {
    if (this.records.delete(pid)) this.write();
  }

  private write(): void {
    writePrivateJson(this.file, [...this.records.values()]);
  }
}

/**
 * Stops what a dead supervisor left running: services in the opposite order of their start, then the servers.
 * Returns the names. Never touches a process whose start time is not the recorded one.
 */
export async function stopLeftovers(paths: Paths, timeoutMs = 10_000): Promise<readonly string[]> {
  const services = readJsonIfWhole(paths.processes, z.array(record)) ?? [];
  const stopped: string[] = [];
  for (const left of [...services].reverse()) {
    if (await stopRecorded(left, "SIGTERM", timeoutMs)) stopped.push(left.name);
  }
  // SIGINT: Postgres would wait for its clients on SIGTERM; NATS and Redis take both for an orderly stop.
  for (const left of serverRecords(path.join(paths.data, "pids"))) {
    if (await stopRecorded(left, "SIGINT", timeoutMs)) stopped.push(left.name);
  }
  rmSync(paths.processes, { force: true });
  rmSync(paths.runFile, { force: true });
  return stopped;
}

/** True when it was alive and is gone now. Soft first, then -9; throws when even that does not help. */
export async function stopRecorded(left: ProcessRecord, signal: NodeJS.Signals, timeoutMs: number): Promise<boolean> {
  if (processIdentity(left.pid) !== left.identity) return false;
  for (const step of [signal, "SIGKILL"] as const) {
    signalQuietly(left.pid, step);
    const deadlineMs = performance.now() + timeoutMs;
    while (performance.now() < deadlineMs) {
      if (processIdentity(left.pid) !== left.identity) return true;
      await delay(pollMs);
    }
  }
  throw new Error(`${left.name} (pid ${String(left.pid)}) does not end, not even by SIGKILL`);
}

/** The pid files that the testkit writes beside the data. */
function serverRecords(folder: string): readonly ProcessRecord[] {
  const names = listFolder(folder).filter((name) => name.endsWith(".json"));
  return names.flatMap((name) => {
    const found = readJsonIfWhole(path.join(folder, name), record.omit({ name: true }));
    return found === undefined ? [] : [{ ...found, name: name.slice(0, -5) }];
  });
}

function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone between looking and signalling, which is what was wanted.
  }
}
