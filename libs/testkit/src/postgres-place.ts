import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { substituteFolder } from "./data-folder.ts";
import type { PostgresProgram } from "./programs.ts";
import { runProgram } from "./run-program.ts";

/**
 * Postgres refuses to run as root. Started by root, it runs as `postgres` (else `nobody`), and both its programs and its
 * data must be reachable for that user. A clone below /root (mode 0700) is not: then the programs are copied and the
 * data is placed below /var/tmp/codex-api-<hash of the path>, which the log says.
 */

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface PostgresPlace {
  /** Undefined: as we are. */
  readonly user: User | undefined;
  readonly binFolder: string;
  /** Exists, and the user may pass through it; holds `postgres`, the cluster. */
  readonly folder: string;
}

const stepTimeoutMs = 60_000;

export async function placePostgres(
  program: PostgresProgram,
  dataDir: string,
  installId: string,
  log: (line: string) => void,
): Promise<PostgresPlace> {
  const user = process.getuid?.() === 0 ? await unprivilegedUser() : undefined;
  if (user === undefined) return { user, binFolder: program.binFolder, folder: dataDir };
  return {
    user,
    binFolder: await reachablePrograms(program, user, log),
    folder: await reachableData(dataDir, installId, user, log),
  };
}

/** Creates (or takes) a folder that only the user may enter. */
export function ownFolder(folder: string, user: User | undefined): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
}

async function unprivilegedUser(): Promise<User> {
  for (const name of ["postgres", "_postgres", "nobody"]) {
    const uid = await runProgram("id", ["-u", name], { timeoutMs: 5000 });
    const gid = await runProgram("id", ["-g", name], { timeoutMs: 5000 });
    if (uid.ok && gid.ok) return { name, uid: Number(uid.output), gid: Number(gid.output) };
  }
  throw new Error("Postgres refuses to run as root, and there is no user postgres or nobody to run it as.");
}

async function reachablePrograms(program: PostgresProgram, user: User, log: (line: string) => void): Promise<string> {
  if (await runsAs(user, program.binFolder)) return program.binFolder;
  const from = path.dirname(program.binFolder);
  const to = path.join(substituteFolder(from), `postgres-${program.version}`);
  if (!existsSync(to)) {
    log(`the user ${user.name} cannot reach ${from}: copying the programs of Postgres to ${to}`);
    const work = `${to}.new-${String(process.pid)}`;
    cpSync(from, work, { recursive: true, verbatimSymlinks: true });
    await runProgram("chmod", ["-R", "a+rX", work], { timeoutMs: stepTimeoutMs });
    try {
      renameSync(work, to);
    } catch (error) {
      // Another start was faster; its copy is as good.
      rmSync(work, { recursive: true, force: true });
      if (!existsSync(to)) throw error;
    }
  }
  const binFolder = path.join(to, "bin");
  if (await runsAs(user, binFolder)) return binFolder;
  throw new Error(`Postgres does not run as user ${user.name} from ${binFolder}: is /var/tmp mounted noexec?`);
}

async function runsAs(user: User, binFolder: string): Promise<boolean> {
  const said = await runProgram(path.join(binFolder, "postgres"), ["--version"], { timeoutMs: 10_000, user });
  return said.ok;
}

async function reachableData(
  dataDir: string,
  installId: string,
  user: User,
  log: (line: string) => void,
): Promise<string> {
  const entered = await runProgram("/bin/sh", ["-c", 'cd -- "$1"', "sh", dataDir], { timeoutMs: 5000, user });
  if (entered.ok) return dataDir;
  const folder = substituteFolder(dataDir);
  log(`the user ${user.name} cannot reach ${dataDir}: the data of Postgres is in ${folder}`);
  const marker = path.join(folder, "install-id");
  const cluster = path.join(folder, "postgres");
  const known = existsSync(marker) ? readFileSync(marker, "utf8") : undefined;
  if (known !== installId && existsSync(cluster)) {
    // The data folder was removed and made anew: this cluster belonged to the former one, and its password is gone.
    const aside = `${cluster}.former`;
    rmSync(aside, { recursive: true, force: true });
    renameSync(cluster, aside);
    log(`${cluster} belonged to an install that was removed: moved to ${aside}`);
  }
  writeFileSync(marker, installId, { mode: 0o600 });
  return folder;
}
