import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { startChild, type ChildServer } from "./child-server.ts";
import { prepareDataFolder } from "./data-folder.ts";
import { freePort } from "./ports.ts";
import { findRedis } from "./programs.ts";
import { redisAnswers, startRedisServer } from "./redis-server.ts";
import { startWatchdog } from "./watchdog.ts";

export interface RedisSentinel {
  /** Of the sentinel, on 127.0.0.1. */
  readonly port: number;
  /** Of the sentinel itself. */
  readonly sentinelPassword: string;
  /** Name of the master at the sentinel. */
  readonly master: string;
  readonly masterPort: number;
  /** Of the master. */
  readonly password: string;
  /** Stops both and removes their data. Idempotent. */
  stop(): Promise<void>;
}

/** One Redis server, and one sentinel that knows it, for one test file. */
export async function startRedisSentinel(): Promise<RedisSentinel> {
  const log = (): void => undefined;
  const program = await findRedis({ log });
  const [password, sentinelPassword] = [randomBytes(16).toString("hex"), randomBytes(16).toString("hex")];
  const master = "gateway-limits";
  const folder = mkdtempSync(path.join(os.tmpdir(), "codex-redis-sentinel-"));
  const watchdog = startWatchdog([folder]);
  const servers: ChildServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    watchdog.release();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    prepareDataFolder(folder);
    const [masterPort, port] = [await freePort(), await freePort()];
    const server = { program, dataDir: folder, port: masterPort, password, durable: false };
    servers.push(await startRedisServer(server, { watchdog, log }));
    const own = path.join(folder, "sentinel");
    mkdirSync(own, { mode: 0o700 });
    const config = path.join(own, "sentinel.conf");
    const lines = [
      "bind 127.0.0.1",
      `port ${String(port)}`,
      `dir ${own}`,
      `requirepass ${sentinelPassword}`,
      `sentinel monitor ${master} 127.0.0.1 ${String(masterPort)} 1`,
      `sentinel auth-pass ${master} ${password}`,
    ];
    writeFileSync(config, `${lines.join("\n")}\n`, { mode: 0o600 });
    const spec = {
      name: "Redis Sentinel",
      command: program.command,
      ...(program.argv0 === undefined ? {} : { argv0: program.argv0 }),
      args: [config, "--sentinel"],
      logFile: path.join(folder, "logs/sentinel.log"),
      pidFile: path.join(folder, "pids/sentinel.json"),
      stopSignal: "TERM",
      stopTimeoutMs: 10_000,
      readyTimeoutMs: 30_000,
      ready: () => redisAnswers(port, sentinelPassword),
    } as const;
    servers.push(await startChild(spec, { watchdog, log }));
    return { port, sentinelPassword, master, masterPort, password, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
