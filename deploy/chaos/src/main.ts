import { parseArgs } from "node:util";
import { reportJson, reportLines } from "./report.ts";
import { run } from "./run.ts";
import { scenarioNamed, scenarios } from "./scenarios.ts";

/**
 * `pnpm chaos [--seed N] [--minutes M] [--scenario NAME] [--rate R] [--repeats N] [--json] [--keep] [--list]`
 *
 * Exit code 0: the books are what the upstream delivered. 1: they are not, or the run could not be carried out. 64: usage.
 * Ctrl-C stops everything and removes what was made.
 */

const exitUsage = 64;
const exitInterrupted = 130;
/** After the faults: healing, quiet, comparison. A run that takes longer hangs. */
const afterwardsMs = 300_000;
const startMs = 120_000;
const raceMs = 1_800_000;

const flags = {
  seed: { type: "string" },
  minutes: { type: "string", default: "1" },
  scenario: { type: "string", default: "random" },
  rate: { type: "string", default: "120" },
  gateways: { type: "string", default: "2" },
  workers: { type: "string", default: "2" },
  repeats: { type: "string", default: "100" },
  json: { type: "boolean", default: false },
  keep: { type: "boolean", default: false },
  list: { type: "boolean", default: false },
} as const;

const usage = `usage: pnpm chaos [--seed N] [--minutes M] [--scenario NAME] [--rate R] [--gateways G] [--workers W] [--repeats N] [--json] [--keep] [--list]`;

class UsageError extends Error {}

function number(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(`--${name} is "${text}"; it must be a number from ${String(min)} to ${String(max)}`);
}

function readOptions() {
  try {
    const { values } = parseArgs({ args: process.argv.slice(2), options: flags, strict: true });
    const scenario = scenarioNamed(values.scenario);
    if (scenario === undefined) throw new UsageError(`there is no scenario "${values.scenario}"; --list names them`);
    return {
      scenario,
      seed:
        values.seed === undefined
          ? Math.floor(Math.random() * 1_000_000)
          : Math.floor(number("seed", values.seed, 0, 4_294_967_295)),
      durationMs: number("minutes", values.minutes, 0.05, 600) * 60_000,
      rate: number("rate", values.rate, 1, 2_000),
      gatewayHosts: Math.floor(number("gateways", values.gateways, 1, 8)),
      workersPerHost: Math.floor(number("workers", values.workers, 1, 8)),
      raceRepeats: Math.floor(number("repeats", values.repeats, 1, 10_000)),
      raceRequests: 500,
      json: values.json,
      keep: values.keep,
      list: values.list,
    };
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options.list) {
    for (const { name, description } of scenarios) process.stdout.write(`${name.padEnd(24)}${description}\n`);
    return;
  }
  const stopping = new AbortController();
  const interrupt = (): void => {
    if (!stopping.signal.aborted) say("stopping everything");
    process.exitCode = exitInterrupted;
    stopping.abort();
  };
  // More than one arrives: from the terminal, and from the program that started us.
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const boundMs = startMs + afterwardsMs + (options.scenario.race !== undefined ? raceMs : options.durationMs);
  const bound = setTimeout(() => {
    say(`the run hangs: more than ${String(Math.round(boundMs / 1_000))} s`);
    process.exitCode = 1;
    stopping.abort();
  }, boundMs);
  try {
    const result = await run({ ...options, signal: stopping.signal, log: say });
    if (options.json) process.stdout.write(`${reportJson(result)}\n`);
    else for (const line of reportLines(result)) process.stdout.write(`${line}\n`);
    process.exitCode ??= result.clean ? 0 : 1;
  } finally {
    clearTimeout(bound);
  }
}

try {
  await main();
} catch (error) {
  process.exitCode ??= error instanceof UsageError ? exitUsage : 1;
  const known = error instanceof UsageError || (error instanceof Error && error.name === "AbortError");
  say(known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error));
  if (error instanceof UsageError) say(usage);
}
