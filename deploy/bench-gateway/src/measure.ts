import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import { cpuSeconds, rssMb } from "../../bench-ledger/src/process-usage.ts";
import { passedEnvironment } from "./config.ts";
import type { LoadSpec, WindowResult } from "./load-spec.ts";
import type { Target } from "./target.ts";

export interface Measure {
  readonly target: Target["name"];
  readonly perSecond: number;
  /** Of the hop, user and system; NaN for the upstream itself. */
  readonly cpuMicros: number;
  /** Share of one core that the hop had. */
  readonly load: number;
  readonly rssMb: number;
  /** Resident megabytes each half second of the window. */
  readonly rssOverTime: readonly number[];
  readonly result: WindowResult;
}

const generator = path.join(import.meta.dirname, "generator.ts");
const slackMs = 150_000;

/** Puts a load on a hop, and looks at the hop's processes at both ends of the window. */
export async function measure(target: Target, load: Omit<LoadSpec, "urls" | "keys" | "headers">): Promise<Measure> {
  const spec: LoadSpec = { ...load, urls: target.urls, keys: target.keys, headers: target.headers };
  const child = spawn(process.execPath, ["--no-warnings", generator, JSON.stringify(spec)], {
    env: { ...passedEnvironment() },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), load.warmUpMs + load.seconds * 1_000 + slackMs);
  const memory: number[] = [];
  let sampling: NodeJS.Timeout | undefined;
  let [before, after] = [0, 0];
  let result: WindowResult | undefined;
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === "begin") {
        before = cpuOf(target);
        sampling = setInterval(() => memory.push(rssOf(target)), 500);
      } else if (line === "end") {
        after = cpuOf(target);
        memory.push(rssOf(target));
        clearInterval(sampling);
      } else result = JSON.parse(line) as WindowResult;
    }
  } finally {
    clearTimeout(timer);
    clearInterval(sampling);
  }
  if (result === undefined) throw new Error(`the load on ${target.name} ended without a result`);
  const seconds = result.windowMs / 1_000;
  const hasHop = target.pids().length > 0;
  return {
    target: target.name,
    perSecond: result.completed / seconds,
    cpuMicros: hasHop ? ((after - before) * 1e6) / result.completed : Number.NaN,
    load: (after - before) / seconds,
    rssMb: memory.at(-1) ?? 0,
    rssOverTime: memory,
    result,
  };
}

function cpuOf(target: Target): number {
  return target.pids().reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

function rssOf(target: Target): number {
  return target.pids().reduce((sum, pid) => sum + rssMb(pid), 0);
}
