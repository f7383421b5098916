import path from "node:path";
import type { ChildDeps, ChildServer } from "./child-server.ts";
import type { InfraUrls } from "./config.ts";
import { claimDataFolder, infraDataFolders, installSecrets, prepareDataFolder } from "./data-folder.ts";
import { errorText } from "./error-text.ts";
import { natsUrl, startNatsServer } from "./nats-server.ts";
import { freePort, isPortFree } from "./ports.ts";
import { placePostgres } from "./postgres-place.ts";
import { postgresUrl, startPostgresServer } from "./postgres-server.ts";
import { findNats, findPostgres, findRedis } from "./programs.ts";
import { redisUrl, startRedisServer } from "./redis-server.ts";
import type { ServerUsers } from "./server-users.ts";
import { startWatchdog } from "./watchdog.ts";

export type ServerName = "postgres" | "nats" | "redis";

export interface ChildrenOptions {
  readonly dataDir: string;
  readonly wanted: readonly ServerName[];
  readonly ports: Partial<Record<ServerName, number>>;
  readonly persistent: boolean;
  readonly users?: ServerUsers;
  readonly toolchainDir?: string;
  readonly log: (line: string) => void;
}

export interface Children {
  readonly urls: Partial<InfraUrls>;
  /** Why a wanted server could not be started, by name. */
  readonly failures: Partial<Record<ServerName, Error>>;
  stop(): Promise<void>;
}

const portTries = 3;

/** Starts the wanted servers side by side. Reports failures by server and leaves the others running. */
export async function startChildren(options: ChildrenOptions): Promise<Children> {
  const dataDir = path.resolve(options.dataDir);
  prepareDataFolder(dataDir);
  const release = claimDataFolder(dataDir);
  const running: ChildServer[] = [];
  try {
    const watchdog = startWatchdog(options.persistent ? [] : infraDataFolders(dataDir));
    const urls: Partial<Record<keyof InfraUrls, string>> = {};
    const failures: Partial<Record<ServerName, Error>> = {};
    const starters = serverStarters({ ...options, dataDir }, { watchdog, log: options.log });
    await Promise.all(
      options.wanted.map(async (name) => {
        try {
          const started = await starters[name]();
          running.push(started.server);
          urls[`${name}Url`] = started.url;
        } catch (error) {
          failures[name] = error instanceof Error ? error : new Error(errorText(error), { cause: error });
        }
      }),
    );
    const stop = async (): Promise<void> => {
      await Promise.all(running.map((server) => server.stop()));
      watchdog.release();
      release();
    };
    return { urls, failures, stop };
  } catch (error) {
    release();
    throw error;
  }
}

interface Started {
  readonly server: ChildServer;
  readonly url: string;
}

function serverStarters(options: ChildrenOptions, deps: ChildDeps): Record<ServerName, () => Promise<Started>> {
  const { dataDir, persistent: durable, users = { nats: [], redis: [] } } = options;
  const secrets = installSecrets(dataDir);
  return {
    postgres: async () => {
      const program = await findPostgres(options);
      const place = await placePostgres(program, dataDir, secrets.installId, options.log);
      const password = secrets.postgres;
      return onPort("Postgres", options.ports.postgres, async (port) => ({
        server: await startPostgresServer({ program, place, dataDir, port, password, durable }, deps),
        url: postgresUrl(port, password),
      }));
    },
    nats: async () => {
      const program = await findNats(options);
      const password = secrets.nats;
      return onPort("NATS", options.ports.nats, async (port) => ({
        server: await startNatsServer({ program, dataDir, port, password, durable, users: users.nats }, deps),
        url: natsUrl(port, password),
      }));
    },
    redis: async () => {
      const program = await findRedis(options);
      const password = secrets.redis;
      return onPort("Redis", options.ports.redis, async (port) => ({
        server: await startRedisServer({ program, dataDir, port, password, durable, users: users.redis }, deps),
        url: redisUrl(port, password),
      }));
    },
  };
}

/** A given port must be free. One that we chose may be taken by another program before the server binds it: try again. */
async function onPort(
  name: string,
  given: number | undefined,
  start: (port: number) => Promise<Started>,
): Promise<Started> {
  if (given !== undefined) {
    if (await isPortFree(given)) return start(given);
    throw new Error(
      `Port ${String(given)} for ${name} is in use by another program: stop that one, or choose another port.`,
    );
  }
  for (let triesLeft = portTries - 1; ; triesLeft -= 1) {
    const port = await freePort();
    try {
      return await start(port);
    } catch (error) {
      if (triesLeft === 0 || (await isPortFree(port))) throw error;
    }
  }
}
