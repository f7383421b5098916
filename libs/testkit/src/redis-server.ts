import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { startChild, stopOrphan, type ChildDeps, type ChildServer } from "./child-server.ts";
import { converse } from "./probe.ts";
import type { ServerProgram } from "./programs.ts";
import { redisUserWords, type RedisUser } from "./server-users.ts";

export interface RedisServerOptions {
  readonly program: ServerProgram;
  /** Absolute; holds redis/, logs/ and pids/. */
  readonly dataDir: string;
  readonly port: number;
  /** Hex. */
  readonly password: string;
  /** Keep the data over a restart by the append-only file; without it nothing is written. */
  readonly durable: boolean;
  /** Set: a node of a Redis Cluster, whose nodes talk to each other on this port. */
  readonly clusterBusPort?: number;
  readonly users?: readonly RedisUser[];
}

/** One Redis server on 127.0.0.1 with a password. Throws ChildStartError. */
export async function startRedisServer(options: RedisServerOptions, deps: ChildDeps): Promise<ChildServer> {
  const folder = path.join(options.dataDir, "redis");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const configFile = path.join(folder, "redis.conf");
  writeFileSync(configFile, redisConfig(options, folder), { mode: 0o600 });
  const spec = {
    name: "Redis",
    command: options.program.command,
    ...(options.program.argv0 === undefined ? {} : { argv0: options.program.argv0 }),
    args: [configFile],
    logFile: path.join(options.dataDir, "logs/redis.log"),
    pidFile: path.join(options.dataDir, "pids/redis.json"),
    stopSignal: "TERM",
    stopTimeoutMs: 10_000,
    readyTimeoutMs: 30_000,
    ready: () => redisAnswers(options.port, options.password),
  } as const;
  await stopOrphan(spec, deps.log);
  return startChild(spec, deps);
}

export function redisUrl(port: number, password: string, host = "127.0.0.1"): string {
  return `redis://:${password}@${host}:${String(port)}`;
}

/** Signs in and asks for a PONG. While Redis loads its data it answers -LOADING, which is "not yet". */
export function redisAnswers(port: number, password: string, host = "127.0.0.1"): Promise<boolean> {
  return converse({ port, host, say: `AUTH ${password}\r\nPING\r\n`, expect: /^\+OK\r\n\+PONG\r\n/ });
}

function redisConfig(options: RedisServerOptions, folder: string): string {
  const { clusterBusPort } = options;
  const cluster =
    clusterBusPort === undefined
      ? ""
      : `cluster-enabled yes\ncluster-port ${String(clusterBusPort)}\ncluster-announce-ip 127.0.0.1\n`;
  return `# Written at every start.
bind 127.0.0.1
port ${String(options.port)}
protected-mode yes
requirepass ${options.password}
dir ${JSON.stringify(folder)}
daemonize no
save ""
appendonly ${options.durable ? "yes" : "no"}
maxmemory 256mb
maxmemory-policy noeviction
${cluster}${(options.users ?? []).map((user) => `${redisUserWords(user).join(" ")}\n`).join("")}`;
}
