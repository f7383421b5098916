import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";

/**
 * Which core does what. The process under test has the first core to itself (two workers: the first two), so that its rate is
 * that of a core; generator, upstream and every server share the others. On a machine of two cores two workers share the second
 * one with all of those, and the figure of two workers is low by that.
 */
export interface Cores {
  readonly tested: (workers: number) => string;
  readonly rest: string;
  readonly text: string;
}

export function layCores(): Cores {
  const count = availableParallelism();
  const last = count - 1;
  const restFrom = count >= 4 ? 2 : Math.min(1, last);
  const rest = `${String(restFrom)}-${String(last)}`;
  return {
    tested: (workers) => (workers === 1 ? "0" : `0-${String(Math.min(workers - 1, last))}`),
    rest,
    text: `${String(count)} cores: tested process on 0 (two workers: 0-${String(Math.min(1, last))}), all else on ${rest}`,
  };
}

/** Every thread of a process, and what it starts from now on. Does nothing where there is no taskset (macOS). */
export function pin(pid: number, cores: string): void {
  try {
    execFileSync("taskset", ["-acp", cores, String(pid)], { stdio: "ignore", timeout: 5_000 });
  } catch {
    // The figures are then of a process that the kernel moves about.
  }
}
