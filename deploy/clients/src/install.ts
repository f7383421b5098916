import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import type { Agent } from "./agent.ts";
import { installedFolder, npmEnvironment } from "./config.ts";

const run = promisify(execFile);
const manifests = path.resolve(import.meta.dirname, "../agents");
/** 100 to 180 MB over the wire each. */
const timeoutMsDefault = 900_000;
const attempts = 2;

export interface InstallOptions {
  readonly log: (line: string) => void;
  /** For all attempts together. */
  readonly timeoutMs?: number;
}

export type Installed =
  | { readonly agent: Agent; readonly version: string; readonly program: string }
  | { readonly agent: Agent; readonly version: string; readonly absent: string };

const manifest = z.object({ dependencies: z.record(z.string(), z.string()) });

/**
 * The agent by its lock file, without install scripts, in a folder of its own; nothing is fetched again while the lock file is the
 * same. Never rejects: what is in the way becomes `absent`, in words.
 */
export async function install(agent: Agent, { log, timeoutMs = timeoutMsDefault }: InstallOptions): Promise<Installed> {
  const from = path.join(manifests, agent.name);
  const folder = path.join(installedFolder, agent.name);
  const { dependencies } = manifest.parse(JSON.parse(readFileSync(path.join(from, "package.json"), "utf8")));
  const version = dependencies[agent.packageName] ?? "?";
  const place = (): string | undefined =>
    agent.programs.map((program) => path.join(folder, "node_modules", program)).find((file) => existsSync(file));
  try {
    if (place() === undefined || !sameLock(from, folder)) {
      log(`${agent.name}: fetching ${agent.packageName} ${version} from npm`);
      mkdirSync(folder, { recursive: true });
      copyFileSync(path.join(from, "package.json"), path.join(folder, "package.json"));
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(), timeoutMs);
      await fetchLocked(folder, from, late.signal).finally(() => clearTimeout(timer));
    }
  } catch (error) {
    return { agent, version, absent: `npm could not install it: ${firstLines(error)}` };
  }
  const program = place();
  if (program === undefined) {
    return { agent, version, absent: `its package has no program for ${process.platform}-${process.arch}` };
  }
  return { agent, version, program };
}

async function fetchLocked(folder: string, from: string, signal: AbortSignal): Promise<void> {
  const lock = path.join(folder, "package-lock.json");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--loglevel=error"];
  for (let attempt = 1; ; attempt += 1) {
    try {
      copyFileSync(path.join(from, "package-lock.json"), lock);
      const fetching = run("npm", args, { cwd: folder, env: npmEnvironment(), maxBuffer: 10_000_000 });
      // npm pays no heed to SIGTERM while it waits for a registry, and execFile's own `signal` sends nothing else.
      signal.addEventListener("abort", () => fetching.child.kill("SIGKILL"), { once: true });
      await fetching;
      return;
    } catch (error) {
      if (signal.aborted) throw new Error("the registry did not give it in time", { cause: error });
      if (attempt === attempts) throw error;
    }
  }
}

function sameLock(from: string, folder: string): boolean {
  const [wanted, there] = [from, folder].map((one) => path.join(one, "package-lock.json"));
  if (wanted === undefined || there === undefined || !existsSync(there)) return false;
  return readFileSync(wanted, "utf8") === readFileSync(there, "utf8");
}

function firstLines(error: unknown): string {
  const stderr = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
  const said = stderr.trim() === "" ? (error instanceof Error ? error.message : String(error)) : stderr;
  return said
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(0, 3)
    .map((line) => line.replace(/^npm (error|ERR!) ?/, ""))
    .join("; ")
    .slice(0, 300);
}
