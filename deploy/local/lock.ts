import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { processIdentity } from "../../libs/testkit/src/process-identity.ts";
import { readText } from "./files.ts";
import { errorCode } from "./problem.ts";

/**
 * One supervisor a clone. The lock is a file with pid and start time of its owner, so that a number that the system gave
 * to another program is never taken for ours. The identity is imported by path, because the package's index would load
 * database drivers and Docker clients, and `npm stop` should answer at once.
 */

const owner = z.object({ pid: z.number().int().positive(), identity: z.string() });
export type Owner = z.infer<typeof owner>;

/** The living owner, or undefined. A lock left by a dead process counts as none. */
export function lockOwner(file: string): Owner | undefined {
  const found = parse(readText(file));
  return found !== undefined && processIdentity(found.pid) === found.identity ? found : undefined;
}

/**
 * Takes the lock for this process. Returns false when a living process has it. `stale` is true when a dead one left it:
 * the caller then has its leftovers to clean up.
 */
export function takeLock(file: string): { readonly taken: boolean; readonly stale: boolean } {
  mkdirSync(path.dirname(file), { recursive: true });
  let stale = false;
  for (;;) {
    try {
      writeFileSync(file, JSON.stringify({ pid: process.pid, identity: processIdentity(process.pid) ?? "" }), {
        flag: "wx",
        mode: 0o600,
      });
      return { taken: true, stale };
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
    }
    if (lockOwner(file) !== undefined) return { taken: false, stale: false };
    stale = removeDeadLock(file) || stale;
  }
}

/** Gives the lock back if it is still ours. Idempotent. */
export function releaseLock(file: string): void {
  if (lockOwner(file)?.pid === process.pid) rmSync(file, { force: true });
}

/** Moves the dead lock away. Only one of several waiters succeeds; one that moved a fresh lock by mistake puts it back. */
function removeDeadLock(file: string): boolean {
  const grave = `${file}.${String(process.pid)}`;
  try {
    const judged = readFileSync(file, "utf8");
    renameSync(file, grave);
    if (readText(grave) !== judged) {
      renameSync(grave, file);
      return false;
    }
    rmSync(grave, { force: true });
    return true;
  } catch {
    return false;
  }
}

function parse(text: string | undefined): Owner | undefined {
  try {
    return owner.parse(JSON.parse(text ?? ""));
  } catch {
    return undefined;
  }
}
