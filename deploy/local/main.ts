import { parseArgs } from "node:util";
import { readEnvironment } from "./config.ts";
import { pathsOf } from "./paths.ts";
import { explain, Problem } from "./problem.ts";

/**
 * The launcher's entry: `main.ts <start|stop|status|reset|build> [options]`, and `supervise`, which `start` runs in the
 * background. Each command is loaded when it is asked for, so that `stop` does not wait for the code of `start`.
 */

const options = {
  detach: { type: "boolean", short: "d", default: false },
  "port-base": { type: "string" },
  json: { type: "boolean", default: false },
  yes: { type: "boolean", short: "y", default: false },
  force: { type: "boolean", default: false },
  quiet: { type: "boolean", default: false },
} as const;

type Values = ReturnType<typeof parse>["values"];

/** Which options each command knows. */
const known: Readonly<Record<string, readonly (keyof typeof options)[]>> = {
  start: ["detach", "port-base"],
  supervise: ["port-base"],
  stop: [],
  status: ["json"],
  reset: ["yes"],
  build: ["force", "quiet"],
};

const portBaseMin = 1024;
const portBaseMax = 65_000;

function parse(
  args: readonly string[],
): ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>> {
  return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
}

function checked(command: string, args: readonly string[]): Values {
  const allowed = known[command];
  if (allowed === undefined)
    throw new Problem(`The launcher has no command "${command}".`, { hint: "npm run help lists the commands." });
  const usage =
    allowed.length === 0
      ? `"${command}" takes no options.`
      : `"${command}" takes: ${allowed.map((name) => `--${name}`).join(", ")}.`;
  try {
    const { values, positionals } = parse(args);
    const given = args.filter((arg) => arg.startsWith("--")).map((arg) => arg.slice(2).split("=")[0]);
    const stray = positionals[0] ?? given.find((name) => !allowed.some((option) => option === name));
    if (stray === undefined) return values;
    throw new Problem(`"${stray}" is not known here.`, { hint: usage });
  } catch (error) {
    if (error instanceof Problem) throw error;
    // Node goes on with advice about positional arguments that does not fit here.
    throw new Problem(`${String(error instanceof Error ? error.message : error).split(". ")[0] ?? ""}.`, {
      hint: usage,
    });
  }
}

function portBaseOf(values: Values): number | undefined {
  const text = values["port-base"];
  if (text === undefined) return undefined;
  const base = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (base >= portBaseMin && base <= portBaseMax) return base;
  throw new Problem(
    `--port-base must be a whole number from ${String(portBaseMin)} to ${String(portBaseMax)}, not "${text}".`,
  );
}

async function run(command: string, args: readonly string[]): Promise<number> {
  const values = checked(command, args);
  const environment = readEnvironment();
  const paths = pathsOf(environment.root);
  switch (command) {
    case "start": {
      const { start } = await import("./start.ts");
      return start({ paths, colour: environment.colour, detach: values.detach, portBase: portBaseOf(values) });
    }
    case "supervise": {
      const { supervise } = await import("./supervise.ts");
      return supervise({ paths, environment, portBase: portBaseOf(values) });
    }
    case "stop": {
      const { stop } = await import("./stop.ts");
      return stop(paths);
    }
    case "status": {
      const { status } = await import("./status.ts");
      return status(paths, values.json);
    }
    case "reset": {
      const { reset } = await import("./reset.ts");
      return reset(paths, values.yes);
    }
    default: {
      const { build } = await import("./build.ts");
      const done = await build(paths, { force: values.force, signal: new AbortController().signal });
      if (!values.quiet) process.stdout.write(`${done}\n`);
      return 0;
    }
  }
}

try {
  const [command = "", ...args] = process.argv.slice(2);
  process.exitCode = await run(command, args);
} catch (error) {
  process.stderr.write(`\n${explain(error).join("\n")}\n`);
  process.exitCode = 1;
}
