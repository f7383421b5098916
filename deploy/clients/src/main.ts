import { parseArgs } from "node:util";
import type { Agent } from "./agent.ts";
import { claudeCode } from "./agents/claude-code.ts";
import { codex } from "./agents/codex.ts";
import { opencode } from "./agents/opencode.ts";
import { install, type Installed } from "./install.ts";
import { exitCodeOf, reportLines } from "./report.ts";
import { run } from "./run.ts";

/**
 * `pnpm test:clients [--client NAME] [--within SECONDS] [--keep]`
 *
 * Exit code 0: all agents did their tasks. 1: one did not, or the books are wrong, or the run could not be carried out. 2: nothing
 * is wrong, but an agent could not be installed, or the time was over. 64: usage. 130: Ctrl-C, which stops everything and removes what was made.
 */

const exitNotRun = 2;
const exitUsage = 64;
const exitInterrupted = 130;
const agents: readonly Agent[] = [codex, claudeCode, opencode];

class UsageError extends Error {}

interface Options {
  readonly wanted: readonly Agent[];
  readonly keep: boolean;
  /** For everything; undefined: as long as it takes. */
  readonly withinMs: number | undefined;
}

/** Of the time, what fetching must leave for the tasks. */
const tasksMs = 90_000;

function readOptions(): Options {
  const usage = `usage: pnpm test:clients [--client ${agents.map(({ name }) => name).join("|")}]… [--within SECONDS] [--keep]`;
  try {
    const { values } = parseArgs({
      options: {
        client: { type: "string", multiple: true },
        within: { type: "string" },
        keep: { type: "boolean", default: false },
      },
      strict: true,
    });
    const wanted = values.client?.map((text) => agents.find(({ name }) => name === text));
    if (wanted?.includes(undefined)) throw new UsageError(usage);
    if (values.within !== undefined && !/^\d{2,5}$/.test(values.within)) throw new UsageError(usage);
    const withinMs = values.within === undefined ? undefined : Number(values.within) * 1_000;
    if (withinMs !== undefined && withinMs <= tasksMs)
      throw new UsageError(`--within: the tasks alone need ${String(tasksMs / 1_000)} seconds`);
    return { wanted: wanted?.filter((agent) => agent !== undefined) ?? agents, keep: values.keep, withinMs };
  } catch (error) {
    throw error instanceof UsageError
      ? error
      : new UsageError(`${error instanceof Error ? error.message : ""}\n${usage}`);
  }
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main({ wanted, keep, withinMs }: Options): Promise<number> {
  const stopping = new AbortController();
  const late = new AbortController();
  const signal = AbortSignal.any([stopping.signal, late.signal]);
  const timer = withinMs === undefined ? undefined : setTimeout(() => late.abort(), withinMs);
  const interrupt = (): void => stopping.abort();
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    const fetching = { log: say, ...(withinMs === undefined ? {} : { timeoutMs: withinMs - tasksMs }) };
    const installed: readonly Installed[] = await Promise.all(wanted.map((agent) => install(agent, fetching)));
    const none = installed.every((one) => "absent" in one);
    const result = none ? { tasks: [], books: [] } : await run({ installed, keep, signal, log: say });
    for (const line of reportLines(installed, result)) process.stdout.write(`${line}\n`);
    return exitCodeOf(installed, result);
  } catch (error) {
    if (stopping.signal.aborted) return exitInterrupted;
    if (!late.signal.aborted) throw error;
    const names = wanted.map(({ name }) => name).join(", ");
    process.stdout.write(`${names}: NOT RUN  not done within ${String((withinMs ?? 0) / 1_000)} s on this machine\n`);
    return exitNotRun;
  } finally {
    clearTimeout(timer);
  }
}

try {
  process.exitCode = await main(readOptions());
} catch (error) {
  const isUsage = error instanceof UsageError;
  say(isUsage ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = isUsage ? exitUsage : 1;
}
