import { parseArgs } from "node:util";
import type { Agent } from "./agent.ts";
import { claudeCode } from "./agents/claude-code.ts";
import { codex } from "./agents/codex.ts";
import { opencode } from "./agents/opencode.ts";
import { install, type Installed } from "./install.ts";
import { exitCodeOf, reportLines } from "./report.ts";
import { run } from "./run.ts";

/**
 * `pnpm test:clients [--client NAME] [--keep]`
 *
 * Exit code 0: all agents did their tasks. 1: one did not, or the books are wrong, or the run could not be carried out. 2: one
 * could not be installed, the others did. 64: usage. 130: Ctrl-C, which stops everything and removes what was made.
 */

const exitUsage = 64;
const exitInterrupted = 130;
const agents: readonly Agent[] = [codex, claudeCode, opencode];

class UsageError extends Error {}

interface Options {
  readonly wanted: readonly Agent[];
  readonly keep: boolean;
}

function readOptions(): Options {
  const usage = `usage: pnpm test:clients [--client ${agents.map(({ name }) => name).join("|")}]… [--keep]`;
  try {
    const { values } = parseArgs({
      options: { client: { type: "string", multiple: true }, keep: { type: "boolean", default: false } },
      strict: true,
    });
    const wanted = values.client?.map((text) => agents.find(({ name }) => name === text));
    if (wanted?.includes(undefined)) throw new UsageError(usage);
    return { wanted: wanted?.filter((agent) => agent !== undefined) ?? agents, keep: values.keep };
  } catch (error) {
    throw error instanceof UsageError
      ? error
      : new UsageError(`${error instanceof Error ? error.message : ""}\n${usage}`);
  }
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main({ wanted, keep }: Options): Promise<number> {
  const stopping = new AbortController();
  const interrupt = (): void => stopping.abort();
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    const installed: Installed[] = [];
    for (const agent of wanted) installed.push(await install(agent, say));
    const none = installed.every((one) => "absent" in one);
    const result = none ? { tasks: [], books: [] } : await run({ installed, keep, signal: stopping.signal, log: say });
    for (const line of reportLines(installed, result)) process.stdout.write(`${line}\n`);
    return exitCodeOf(installed, result);
  } catch (error) {
    if (stopping.signal.aborted) return exitInterrupted;
    throw error;
  }
}

try {
  process.exitCode = await main(readOptions());
} catch (error) {
  const isUsage = error instanceof UsageError;
  say(isUsage ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = isUsage ? exitUsage : 1;
}
