import { parseArgs } from "node:util";

const scenarios = ["json", "sse", "paced", "traced", "workers", "memory", "stalled", "fairness", "profile"] as const;
export type Scenario = (typeof scenarios)[number];

export interface BenchOptions {
  /** Of each window. */
  readonly seconds: number;
  readonly json: boolean;
  wants(scenario: Scenario): boolean;
}

/** Throws RangeError with a sentence for a value that is none. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "8" },
      scenario: { type: "string", multiple: true },
      json: { type: "boolean", default: false },
    },
  });
  const seconds = Number(values.seconds);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 3_600)
    throw new RangeError("--seconds must be a whole number from 1 to 3600");
  const named = values.scenario?.flatMap((text) => text.split(",")) ?? [...scenarios];
  for (const name of named) {
    if (!scenarios.some((known) => known === name))
      throw new RangeError(`--scenario knows ${scenarios.join(", ")}, not "${name}"`);
  }
  return { seconds, json: values.json, wants: (scenario) => named.includes(scenario) };
}
