import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { freePort } from "@codex/testkit";
import type { ChildServer } from "../../../libs/testkit/src/child-server.ts";
import { installSecrets, prepareDataFolder } from "../../../libs/testkit/src/data-folder.ts";
import { natsUrl, startNatsServer } from "../../../libs/testkit/src/nats-server.ts";
import { placePostgres } from "../../../libs/testkit/src/postgres-place.ts";
import { postgresUrl, startPostgresServer } from "../../../libs/testkit/src/postgres-server.ts";
import { findNats, findPostgres, findRedis } from "../../../libs/testkit/src/programs.ts";
import { redisUrl, startRedisServer } from "../../../libs/testkit/src/redis-server.ts";
import type { Watchdog } from "../../../libs/testkit/src/watchdog.ts";
import { runUsers, type RunUsers } from "./run-users.ts";

/** A server that is not ours: Postgres, NATS, Redis. It may be killed, stopped, continued and started again on its data. */
export interface Server {
  readonly name: string;
  /** With credentials, directly, without any link in between. */
  readonly url: string;
  readonly port: number;
  readonly alive: boolean;
  /** Undefined while it is down. */
  readonly pid: number | undefined;
  /** SIGKILL, as a crash; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it on the same port and data. No effect while it runs. */
  start(): Promise<void>;
  /** SIGSTOP to it and every process it has made. */
  pause(): void;
  resume(): void;
  /** In order. Idempotent. */
  stop(): Promise<void>;
}

export interface Servers {
  readonly postgres: Server;
  readonly nats: Server;
  readonly redis: Server;
  /** Of NATS and Redis, beside the administrators whose names the servers' addresses carry. */
  readonly users: RunUsers;
}

export function allServers({ postgres, nats, redis }: Servers): readonly Server[] {
  return [postgres, nats, redis];
}

/** NATS's own files of a single server started by {@link startServers}. */
export function natsStoreDir(dataDir: string): string {
  return `${dataDir}/nats/jetstream`;
}

/**
 * One of each on free ports of 127.0.0.1, written through to the disk as in production, with each service's own users.
 * `dataDir` must be reachable for everyone.
 */
export async function startServers(dataDir: string, watchdog: Watchdog, log: (line: string) => void): Promise<Servers> {
  prepareDataFolder(dataDir);
  const secrets = installSecrets(dataDir);
  const users = runUsers();
  const deps = { watchdog, log };
  const [postgres, nats, redis] = await Promise.all([findPostgres({ log }), findNats({ log }), findRedis({ log })]);
  const place = await placePostgres(postgres, dataDir, secrets.installId, log);
  const shared = { dataDir, durable: true };
  const ports = { postgres: await freePort(), nats: await freePort(), redis: await freePort() };
  const started = {
    users,
    postgres: new Kept("postgres", postgresUrl(ports.postgres, secrets.postgres), ports.postgres, () =>
      startPostgresServer(
        { ...shared, program: postgres, place, port: ports.postgres, password: secrets.postgres },
        deps,
      ),
    ),
    nats: new Kept("nats", natsUrl(ports.nats, secrets.nats), ports.nats, () =>
      startNatsServer(
        { ...shared, program: nats, port: ports.nats, password: secrets.nats, users: users.server.nats },
        deps,
      ),
    ),
    redis: new Kept("redis", redisUrl(ports.redis, secrets.redis), ports.redis, () =>
      startRedisServer(
        { ...shared, program: redis, port: ports.redis, password: secrets.redis, users: users.server.redis },
        deps,
      ),
    ),
  };
  await Promise.all(allServers(started).map((server) => server.start()));
  return started;
}

export class Kept implements Server {
  readonly name: string;
  readonly url: string;
  readonly port: number;
  private readonly startOnce: () => Promise<ChildServer>;
  private running: ChildServer | undefined;
  /** Kills and starts follow each other, whoever asks. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(name: string, url: string, port: number, startOnce: () => Promise<ChildServer>) {
    this.name = name;
    this.url = url;
    this.port = port;
    this.startOnce = startOnce;
  }

  get alive(): boolean {
    return this.running !== undefined;
  }

  get pid(): number | undefined {
    return this.running?.pid;
  }

  kill(): Promise<void> {
    return this.inTurn(async () => {
      this.resume();
      await this.running?.kill();
      this.running = undefined;
    });
  }

  start(): Promise<void> {
    return this.inTurn(async () => {
      this.running ??= await this.startOnce();
    });
  }

  pause(): void {
    this.signal("SIGSTOP");
  }

  resume(): void {
    this.signal("SIGCONT");
  }

  stop(): Promise<void> {
    return this.inTurn(async () => {
      this.resume();
      await this.running?.stop();
      this.running = undefined;
    });
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.turn.then(work, work);
    this.turn = next;
    return next;
  }

  private signal(name: "SIGSTOP" | "SIGCONT"): void {
    if (this.running === undefined) return;
    for (const pid of withDescendants(this.running.pid)) {
      try {
        process.kill(pid, name);
      } catch {
        // Ended meanwhile.
      }
    }
  }
}

/** Where there is no /proc (macOS), only the process itself. */
function withDescendants(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8");
    return [
      pid,
      ...text
        .split(" ")
        .filter((part) => part !== "")
        .flatMap((child) => withDescendants(Number(child))),
    ];
  } catch {
    return [pid];
  }
}

/** A secret of this run. */
export function runSecret(): string {
  return randomBytes(32).toString("base64url");
}
