import { chownSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import { ChildStartError, startChild, stopOrphan, stopPid, type ChildDeps, type ChildServer } from "./child-server.ts";
import { ownFolder, type PostgresPlace } from "./postgres-place.ts";
import { processCommand } from "./process-identity.ts";
import type { PostgresProgram } from "./programs.ts";
import { runProgram } from "./run-program.ts";

export const postgresUser = "postgres";
const initTimeoutMs = 120_000;

export interface PostgresServerOptions {
  readonly program: PostgresProgram;
  readonly place: PostgresPlace;
  /** Absolute; holds logs/ and pids/. */
  readonly dataDir: string;
  readonly port: number;
  /** Hex. */
  readonly password: string;
  /** False: no fsync, and a power cut may damage the data. For tests only. */
  readonly durable: boolean;
}

/** One Postgres on 127.0.0.1, no socket file, passwords by SCRAM. Makes the cluster on the first start. */
export async function startPostgresServer(options: PostgresServerOptions, deps: ChildDeps): Promise<ChildServer> {
  const cluster = path.join(options.place.folder, "postgres");
  const spec = {
    name: "Postgres",
    command: path.join(options.place.binFolder, "postgres"),
    args: ["-D", cluster, ...settings(options)],
    ...(options.place.user === undefined ? {} : { user: options.place.user }),
    logFile: path.join(options.dataDir, "logs/postgres.log"),
    pidFile: path.join(options.dataDir, "pids/postgres.json"),
    // Fast shutdown: running statements are cancelled, the checkpoint is written.
    stopSignal: "INT",
    stopTimeoutMs: 20_000,
    readyTimeoutMs: 60_000,
    ready: () => postgresAnswers(postgresUrl(options.port, options.password)),
  } as const;
  await stopOrphan(spec, deps.log);
  if (existsSync(path.join(cluster, "PG_VERSION"))) {
    checkVersion(cluster, options.program);
    await clearStaleLock(cluster, deps.log);
  } else {
    await makeCluster(cluster, options, deps);
  }
  return startAfterCrash(() => startChild(spec, deps), deps.log);
}

export function postgresUrl(port: number, password: string, host = "127.0.0.1"): string {
  return `postgres://${postgresUser}:${password}@${host}:${String(port)}/postgres`;
}

/** Signs in and runs one statement. */
export async function postgresAnswers(url: string, timeoutMs = 2000): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("select 1");
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

export function initArguments(major: number): readonly string[] {
  // The built-in C.UTF-8 (17 and newer) sorts by code point and does not depend on the C library of the machine, so an
  // index stays valid when the system is upgraded.
  const locale = major >= 17 ? ["--locale-provider=builtin", "--locale=C.UTF-8"] : ["--locale=C"];
  return ["--encoding=UTF8", ...locale];
}

function settings(options: PostgresServerOptions): string[] {
  const values: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    port: String(options.port),
    unix_socket_directories: "",
    max_connections: "200",
    password_encryption: "scram-sha-256",
    timezone: "UTC",
    log_timezone: "UTC",
    // What a start after a crash goes over at about 110 MB a second: half of this at the most, so two to three seconds.
    ...(options.durable
      ? { max_wal_size: "512MB" }
      : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

function checkVersion(cluster: string, program: PostgresProgram): void {
  const written = readFileSync(path.join(cluster, "PG_VERSION"), "utf8").trim();
  if (written === String(program.major)) return;
  throw new Error(
    `The data in ${cluster} was written by Postgres ${written}, but the one found here is ${program.version} ` +
      `(${program.binFolder}): install Postgres ${written}, or begin anew with \`npm run reset\`.`,
  );
}

/**
 * Postgres leaves postmaster.pid behind when it is killed, and will not start while that number belongs to any living
 * process, be it a browser. We hold the data folder, so a real server on it is an orphan of ours; anything else is stale.
 */
async function clearStaleLock(cluster: string, log: ChildDeps["log"]): Promise<void> {
  const file = path.join(cluster, "postmaster.pid");
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, "utf8").split("\n")[0]);
  const command = processCommand(pid);
  if (command?.includes(cluster) === true) {
    log(`stopping Postgres (pid ${String(pid)}) that an earlier run left behind`);
    await stopPid(pid, "SIGINT", 20_000);
  }
  rmSync(file, { force: true });
}

/** initdb beside the final place, then one rename: a start that is interrupted half-way leaves nothing that looks whole. */
async function makeCluster(cluster: string, options: PostgresServerOptions, deps: ChildDeps): Promise<void> {
  const { user, binFolder, folder } = options.place;
  if (existsSync(cluster)) throw new Error(`${cluster} exists but is not a data folder of Postgres: move it away.`);
  const work = path.join(folder, "postgres.init");
  const passwordFile = path.join(folder, "postgres.password");
  rmSync(work, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  ownFolder(work, user);
  writeFileSync(passwordFile, options.password, { mode: 0o600 });
  if (user !== undefined) chownSync(passwordFile, user.uid, user.gid);
  deps.log(`making a database cluster with Postgres ${options.program.version}`);
  const made = await runProgram(
    path.join(binFolder, "initdb"),
    [
      ...["-D", work, `--username=${postgresUser}`, `--pwfile=${passwordFile}`, "--auth=scram-sha-256"],
      ...initArguments(options.program.major),
      ...(options.durable ? [] : ["--no-sync"]),
    ],
    { timeoutMs: initTimeoutMs, ...(user === undefined ? {} : { user }) },
  );
  rmSync(passwordFile, { force: true });
  if (!made.ok) throw new ChildStartError("initdb failed.", made.output.split("\n").slice(-8).join("\n"));
  renameSync(work, cluster);
}

/**
 * After a kill -9 of the postmaster its workers need a moment to notice, and one that computes notices at the end of its statement
 * alone; until then the shared memory looks in use.
 */
const leftoversEndWithinMs = 60_000;

async function startAfterCrash(start: () => Promise<ChildServer>, log: ChildDeps["log"]): Promise<ChildServer> {
  const until = performance.now() + leftoversEndWithinMs;
  for (;;) {
    try {
      return await start();
    } catch (error) {
      const leftover = error instanceof ChildStartError && error.logTail.includes("shared memory block");
      if (!leftover || performance.now() > until) throw error;
      log("workers of a killed Postgres are still ending; trying again");
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}
