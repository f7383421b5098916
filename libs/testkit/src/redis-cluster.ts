import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { ChildServer } from "./child-server.ts";
import { prepareDataFolder } from "./data-folder.ts";
import { eventually } from "./eventually.ts";
import { freePort } from "./ports.ts";
import { converse } from "./probe.ts";
import { findRedis } from "./programs.ts";
import { startRedisServer } from "./redis-server.ts";
import type { RedisUser } from "./server-users.ts";
import { startWatchdog } from "./watchdog.ts";

export interface RedisCluster {
  /** On 127.0.0.1, each the master of a part of the slots. */
  readonly ports: readonly number[];
  readonly password: string;
  /** Stops the servers and removes their data. Idempotent. */
  stop(): Promise<void>;
}

const masters = 3;
const slots = 16_384;

/**
 * A Redis Cluster of three masters for one test file, with these users on each; without replicas, for nothing of it must
 * survive. Needs Redis 7.
 */
export async function startRedisCluster(users: readonly RedisUser[] = []): Promise<RedisCluster> {
  const log = (): void => undefined;
  const program = await findRedis({ log });
  const password = randomBytes(12).toString("hex");
  const folder = mkdtempSync(path.join(os.tmpdir(), "codex-redis-cluster-"));
  const watchdog = startWatchdog([folder]);
  const servers: ChildServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    watchdog.release();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const nodes: { readonly port: number; readonly busPort: number }[] = [];
    for (let index = 0; index < masters; index += 1) {
      const dataDir = path.join(folder, String(index));
      prepareDataFolder(dataDir);
      const [port, busPort] = [await freePort(), await freePort()];
      const options = { program, dataDir, port, password, durable: false, clusterBusPort: busPort, users };
      servers.push(await startRedisServer(options, { watchdog, log }));
      nodes.push({ port, busPort });
    }
    await join(nodes, password);
    return { ports: nodes.map(({ port }) => port), password, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function join(
  nodes: readonly { readonly port: number; readonly busPort: number }[],
  password: string,
): Promise<void> {
  const say = (port: number, command: string, expect: RegExp): Promise<boolean> =>
    converse({ port, host: "127.0.0.1", say: `AUTH ${password}\r\n${command}\r\n`, expect });
  const done = /^\+OK\r\n\+OK\r\n/;
  for (const [index, { port }] of nodes.entries()) {
    const from = Math.floor((index * slots) / nodes.length);
    const to = Math.floor(((index + 1) * slots) / nodes.length) - 1;
    if (!(await say(port, `CLUSTER ADDSLOTSRANGE ${String(from)} ${String(to)}`, done)))
      throw new Error("a node of the Redis Cluster did not take its slots: is it older than Redis 7?");
    for (const other of nodes.slice(0, index))
      await say(port, `CLUSTER MEET 127.0.0.1 ${String(other.port)} ${String(other.busPort)}`, done);
  }
  const whole = new RegExp(`cluster_state:ok[^]*cluster_known_nodes:${String(nodes.length)}`);
  await eventually(
    async () => {
      const answers = await Promise.all(nodes.map(({ port }) => say(port, "CLUSTER INFO", whole)));
      return answers.every(Boolean);
    },
    { what: "the nodes of the Redis Cluster to know each other", timeoutMs: 30_000, everyMs: 100 },
  );
}
