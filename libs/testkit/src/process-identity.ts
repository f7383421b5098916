import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * A number alone does not name a process, because the system uses it again. Number plus start time does; so a pid file
 * that outlived its process (kill -9, power cut) can never lead us to stop somebody else's program.
 */

/** Start time of a living process in the system's own words, or undefined when it is gone or only waits to be reaped. */
export function processIdentity(pid: number): string | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return process.platform === "linux" ? linuxIdentity(pid) : psIdentity(pid);
}

/** The command line of a living process, or undefined. */
export function processCommand(pid: number): string | undefined {
  if (processIdentity(pid) === undefined) return undefined;
  if (process.platform !== "linux") return ps(pid, "command=");
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, "utf8")
      .replaceAll("\0", " ")
      .trim();
  } catch {
    return undefined;
  }
}

function linuxIdentity(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
    // The second field is the name in parentheses and may hold spaces, so count from its end (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const state = fields[0];
    const startTicks = fields[19];
    if (state === undefined || startTicks === undefined || state === "Z" || state === "X") return undefined;
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot}:${startTicks}`;
  } catch {
    return undefined;
  }
}

function psIdentity(pid: number): string | undefined {
  if (ps(pid, "state=")?.startsWith("Z") === true) return undefined;
  return ps(pid, "lstart=");
}

function ps(pid: number, field: string): string | undefined {
  try {
    const text = execFileSync("ps", ["-o", field, "-p", String(pid)], {
      encoding: "utf8",
      timeout: 2000,
      stdio: ["ignore", "pipe", "ignore"],
    });
    return text.trim() === "" ? undefined : text.trim();
  } catch {
    return undefined;
  }
}
