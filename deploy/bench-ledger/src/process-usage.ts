import { readFileSync } from "node:fs";

/** What the kernel says of a process (Linux, /proc). USER_HZ is 100 and a page 4,096 bytes on every machine we build for. */

const ticksPerSecond = 100;
const pageBytes = 4_096;

/** Positions behind the name of the program, proc_pid_stat(5): 14 utime, 15 stime, 16 cutime, 17 cstime, 24 rss. */
const field = { utime: 11, stime: 12, cutime: 13, cstime: 14, rss: 21 } as const;

function statOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
  return text
    .slice(text.lastIndexOf(") ") + 2)
    .split(" ")
    .map(Number);
}

const sum = (stat: readonly number[], names: readonly (keyof typeof field)[]): number =>
  names.reduce((total, name) => total + (stat[field[name]] ?? 0), 0);

/** Seconds of CPU of one process, user and system. Throws when it is gone. */
export function cpuSeconds(pid: number): number {
  return sum(statOf(pid), ["utime", "stime"]) / ticksPerSecond;
}

/** The same with its children: those that run, and those that ended and were waited for. Of Postgres: every backend. */
export function cpuSecondsWithChildren(pid: number): number {
  const ended = sum(statOf(pid), ["utime", "stime", "cutime", "cstime"]) / ticksPerSecond;
  return childrenOf(pid).reduce((total, child) => total + cpuOrZero(child), ended);
}

/** Megabytes that are resident. */
export function rssMb(pid: number): number {
  return (sum(statOf(pid), ["rss"]) * pageBytes) / 1_048_576;
}

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8")
    .split(" ")
    .filter((part) => part !== "")
    .map(Number);
}

/** A backend may end between being listed and being read; then its parent has its time at the next look. */
function cpuOrZero(pid: number): number {
  try {
    return cpuSeconds(pid);
  } catch {
    return 0;
  }
}
