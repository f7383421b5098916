import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import path from "node:path";

/** A small disk under a spool: a tmpfs, which only root on Linux may mount. */

const timeout = 5_000;
const ballastName = "ballast";

/** False where it is not possible; the spool's own limit has to do then. */
export function mountSmallDisk(folder: string, bytes: number): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${String(bytes)},mode=0700`, "codex-chaos", folder], {
      timeout,
      stdio: "ignore",
    });
    return true;
  } catch {
    return false;
  }
}

export function unmountSmallDisk(folder: string): void {
  try {
    execFileSync("umount", ["-l", folder], { timeout, stdio: "ignore" });
  } catch {
    // Not mounted, or gone with its folder.
  }
}

/** Takes every byte that is left. */
export function fillDisk(folder: string): void {
  const file = openSync(path.join(folder, ballastName), "a", 0o600);
  try {
    for (let size = 65_536; size >= 1;) {
      try {
        writeSync(file, Buffer.alloc(size));
      } catch {
        size = Math.floor(size / 2);
      }
    }
  } finally {
    closeSync(file);
  }
}

export function freeDisk(folder: string): void {
  rmSync(path.join(folder, ballastName), { force: true });
}
