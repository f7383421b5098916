import { createHash, randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { errorCode } from "./error-text.ts";
import { processIdentity } from "./process-identity.ts";

/**
 * The folder of one install's servers:
 *
 *   owner.json    the process that runs the servers now (0600)
 *   secrets.json  passwords of the three servers, made once, and the id of the install (0600)
 *   logs/ pids/   one file for each server
 *   postgres/ nats/ redis/
 */

export interface InstallSecrets {
  readonly installId: string;
  readonly postgres: string;
  readonly nats: string;
  readonly redis: string;
}

export function prepareDataFolder(dataDir: string): void {
  // 0711: the unprivileged user of Postgres must be able to pass through, not to list.
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  for (const name of ["logs", "pids"]) mkdirSync(path.join(dataDir, name), { recursive: true, mode: 0o700 });
}

/** Takes the folder for this process. Throws when a living process has it. Returns the release, which is idempotent. */
export function claimDataFolder(dataDir: string): () => void {
  const file = path.join(dataDir, "owner.json");
  const ours = JSON.stringify({ pid: process.pid, identity: processIdentity(process.pid) });
  for (;;) {
    try {
      writeFileSync(file, ours, { flag: "wx", mode: 0o600 });
      return () => {
        if (readText(file) === ours) rmSync(file, { force: true });
      };
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
    }
    const owner = parseOwner(readText(file));
    if (owner !== undefined && processIdentity(owner.pid) === owner.identity) {
      throw new Error(`The data folder ${dataDir} is in use by process ${String(owner.pid)}: stop that one first.`);
    }
    rmSync(file, { force: true });
  }
}

/** Passwords of this install, made on the first call. They are hex, so they need no escaping in any URL or file. */
export function installSecrets(dataDir: string): InstallSecrets {
  const file = path.join(dataDir, "secrets.json");
  const text = readText(file);
  const stored = text === undefined ? undefined : parseSecrets(text);
  if (stored !== undefined) return stored;
  if (text !== undefined || exists(path.join(dataDir, "postgres"))) {
    throw new Error(
      `${file} is missing or damaged, so the data beside it cannot be opened: put it back, or remove ${dataDir} to begin anew.`,
    );
  }
  const token = (): string => randomBytes(24).toString("hex");
  const secrets = { installId: token(), postgres: token(), nats: token(), redis: token() };
  writeFileSync(`${file}.new`, JSON.stringify(secrets), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return secrets;
}

/**
 * Folder below /var/tmp for what must be reachable by an unprivileged user while the given path is not. One for each
 * path. The name can be guessed, so a folder (or link) that somebody else put there is refused.
 */
export function substituteFolder(forPath: string): string {
  const folder = substitutePath(forPath);
  mkdirSync(folder, { recursive: true, mode: 0o711 });
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new Error(`${folder} belongs to another user: remove it and start again.`);
  }
  return folder;
}

/** Removes an install's data, what was placed outside the folder included. Its servers must be stopped. Idempotent. */
export function removeInfraData(dataDir: string): void {
  for (const folder of infraDataFolders(dataDir)) rmSync(folder, { recursive: true, force: true });
}

/** All folders in which data of this install may lie. */
export function infraDataFolders(dataDir: string): readonly string[] {
  return [path.resolve(dataDir), substitutePath(dataDir)];
}

function substitutePath(forPath: string): string {
  const hash = createHash("sha256").update(path.resolve(forPath)).digest("hex").slice(0, 12);
  return `/var/tmp/codex-api-${hash}`;
}

function parseOwner(text: string | undefined): { pid: number; identity: string } | undefined {
  const value = parseObject(text);
  const { pid, identity } = value ?? {};
  return typeof pid === "number" && typeof identity === "string" ? { pid, identity } : undefined;
}

function parseSecrets(text: string): InstallSecrets | undefined {
  const { installId, postgres, nats, redis } = parseObject(text) ?? {};
  if (typeof installId !== "string" || typeof postgres !== "string") return undefined;
  if (typeof nats !== "string" || typeof redis !== "string") return undefined;
  return { installId, postgres, nats, redis };
}

function parseObject(text: string | undefined): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

interface Fields {
  readonly pid?: unknown;
  readonly identity?: unknown;
  readonly installId?: unknown;
  readonly postgres?: unknown;
  readonly nats?: unknown;
  readonly redis?: unknown;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function exists(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}
