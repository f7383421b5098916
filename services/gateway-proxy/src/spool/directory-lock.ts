import { closeSync, existsSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";

/**
 * One worker a spool directory. The lock file names its owner by pid and start time, because a pid alone may belong to
 * another program after a crash. A lock whose owner is gone is taken over.
 */

export class DirectoryLocked extends Error {}

/** Returns the release. Throws DirectoryLocked when a live process holds the directory. */
export function lockDirectory(directory: string): () => void {
  const path = `${directory}/lock`;
  const mine = `${process.pid} ${startTimeOf(process.pid) ?? "?"}`;
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      const descriptor = openSync(path, "wx", 0o600);
      writeSync(descriptor, mine);
      closeSync(descriptor);
      return () => {
        if (existsSync(path) && readFileSync(path, "utf8") === mine) unlinkSync(path);
      };
    } catch (error) {
      if (!isFileExists(error)) throw error;
      const owner = readFileSync(path, "utf8");
      if (isAlive(owner)) throw new DirectoryLocked(`spool directory ${directory} is in use by process ${owner}`);
      unlinkSync(path);
    }
  }
  throw new DirectoryLocked(`spool directory ${directory} is being taken by another process`);
}

function isFileExists(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "EEXIST";
}

function isAlive(owner: string): boolean {
  const [pidText = "", startTime] = owner.split(" ");
  const pid = Number.parseInt(pidText, 10);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const now = startTimeOf(pid);
  return now === undefined || startTime === "?" || now === startTime;
}

/** Field 22 of /proc/<pid>/stat (proc(5)); undefined where there is no /proc, as on macOS. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
