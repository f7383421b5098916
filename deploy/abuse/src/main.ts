import { parseArgs } from "node:util";
import { heading, linesOf } from "./report.ts";
import type { SuiteOptions } from "./suite.ts";
import { suites } from "./suites/index.ts";
import { startWorld } from "./world.ts";

/**
 * `npm run abuse [-- --suite NAME[,NAME]] [--seed N] [--cases N] [--calls N] [--parallel N] [--list]`
 *
 * Exit code 0: nothing was found. 1: something was, or the run could not be carried out. 64: usage.
 */

const exitUsage = 64;

class UsageError extends Error {}

function numberOf(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(`--${name} is "${text}"; it must be a whole number from ${String(min)} to ${String(max)}`);
}

function readOptions() {
  const flags = {
    suite: { type: "string" },
    seed: { type: "string" },
    cases: { type: "string", default: "100" },
    calls: { type: "string", default: "300" },
    parallel: { type: "string", default: "50" },
    list: { type: "boolean", default: false },
  } as const;
  try {
    const { values } = parseArgs({ args: process.argv.slice(2), options: flags, strict: true });
    const names = values.suite?.split(",") ?? suites.map(({ name }) => name);
    const unknown = names.find((name) => !suites.some((suite) => suite.name === name));
    if (unknown !== undefined) throw new UsageError(`there is no suite "${unknown}"; --list names them`);
    return {
      list: values.list,
      chosen: suites.filter(({ name }) => names.includes(name)),
      seed:
        values.seed === undefined
          ? Math.floor(Math.random() * 2_147_483_647)
          : numberOf("seed", values.seed, 0, 2_147_483_647),
      cases: numberOf("cases", values.cases, 1, 1_000_000),
      calls: numberOf("calls", values.calls, 20, 100_000),
      parallel: numberOf("parallel", values.parallel, 2, 1_000),
    };
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(error instanceof Error ? error.message : String(error));
  }
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const { list, chosen, ...given } = readOptions();
  if (list) {
    for (const { name, description } of suites) say(`${name.padEnd(12)}${description}`);
    return;
  }
  const options: SuiteOptions = { ...given, log: (line) => void process.stderr.write(`${line}\n`) };
  say(`seed ${String(options.seed)}`);
  const world = await startWorld();
  // Also by Ctrl-C: the servers are children of this process, and die with it.
  let tried = 0;
  let found = 0;
  try {
    say(heading);
    for (const suite of chosen) {
      for (const outcome of await suite.run(world, options)) {
        tried += outcome.tried;
        found += outcome.findings.length;
        for (const line of linesOf(suite.name, outcome)) say(line);
      }
    }
    say(`${"total".padEnd(82)}${String(tried).padStart(7)}${String(found).padStart(6)}`);
  } finally {
    await world.stop();
  }
  if (found > 0) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  process.exitCode = error instanceof UsageError ? exitUsage : 1;
  process.stderr.write(
    `${error instanceof UsageError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
}
