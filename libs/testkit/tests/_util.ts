import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { Redis } from "ioredis";
import pg from "pg";
import { removeInfraData, type InfraUrls } from "@codex/testkit";

/** A data folder that another user may pass through; removed, with what lies elsewhere for it, by the returned function. */
export function temporaryFolder(): { dataDir: string; remove: () => void } {
  const root = mkdtempSync(path.join(os.tmpdir(), "codex-testkit-"));
  chmodSync(root, 0o711);
  const dataDir = path.join(root, "data");
  return {
    dataDir,
    remove: () => {
      removeInfraData(dataDir);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

export interface Owner extends InfraUrls {
  readonly process: ChildProcess;
  /** Ends its input and waits until it has stopped its servers. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** Starts a process of its own that owns the servers. */
export async function startOwner(options: { dataDir: string; persistent: boolean }): Promise<Owner> {
  const program = path.join(import.meta.dirname, "_owner.ts");
  const child = spawn(process.execPath, ["--conditions=codex:source", program, JSON.stringify(options)], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout, signal: AbortSignal.timeout(90_000) });
  const [line] = (await once(lines, "line")) as [string];
  lines.close();
  const message = JSON.parse(line) as InfraUrls & { failure?: string };
  if (message.failure !== undefined) throw new Error(message.failure);
  return {
    ...message,
    process: child,
    stop: async () => {
      child.stdin.end();
      await exited;
    },
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** Pids of the servers that run on the folder, by the pid files. */
export function serverPids(dataDir: string): number[] {
  return ["postgres", "nats", "redis"].flatMap((name) => {
    const file = path.join(dataDir, "pids", `${name}.json`);
    return existsSync(file) ? [(JSON.parse(readFileSync(file, "utf8")) as { pid: number }).pid] : [];
  });
}

export async function query<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

export async function withRedis<T>(url: string, run: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 });
  // The command itself rejects; without a listener the client would also print it.
  redis.on("error", () => undefined);
  try {
    return await run(redis);
  } finally {
    redis.disconnect();
  }
}
