import { readFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { root } from "./config.ts";

/**
 * Models that the load asks for, and what they cost. The charge is computed here by plain arithmetic and not by the code
 * under test; the demo prices are whole micro-tokens a token, so there is nothing to round.
 */

/** Costs the same whatever is asked and answered, so that money for exactly three requests can be given. */
export const flatModel = "demo-flat";
export const flatCostMicroTokens = 1_000_000n;

/** Public name → name at the demo upstream. */
export const upstreamNames: Readonly<Record<string, string>> = {
  "demo-small": "demo-small",
  "demo-large": "demo-large",
  "demo-tools": "demo-tools",
  "demo-slow": "demo-slow",
  "demo-no-usage": "demo-no-usage",
  "demo-hostile-usage": "demo-hostile-usage",
  "demo-midstream-cut": "demo-midstream-cut",
  "demo-midstream-reset": "demo-midstream-reset",
  "demo-error-in-stream": "demo-error-in-stream",
  "demo-error-429": "demo-error-429",
  "demo-error-503": "demo-error-503",
  [flatModel]: "demo-small",
};

const digits = z.string().regex(/^\d+$/);
const entry = z.looseObject({ model: z.string(), rates: z.record(z.string(), digits), perRequest: digits });
const file = z.looseObject({ models: z.array(entry) });
const million = 1_000_000n;

/** The price file for billing's import: every model costs what local mode's demo-small does, but the flat one. */
export function priceFile(names: readonly string[]): string {
  const small = demoSmall();
  const list = names.map((model) => ({ ...small, model, displayName: model }));
  const free = Object.fromEntries(Object.keys(small.rates).map((name) => [name, "0"]));
  return JSON.stringify({
    models: list.map((one) =>
      one.model === flatModel ? { ...one, rates: free, perRequest: String(flatCostMicroTokens) } : one,
    ),
  });
}

export interface ReportedUsage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

/** What an answer with this usage costs, before the bound by its hold. */
export function chargeOf(model: string, usage: ReportedUsage): bigint {
  if (model === flatModel) return flatCostMicroTokens;
  const { promptTokens, cachedTokens, completionTokens } = usage;
  return (
    BigInt(promptTokens - cachedTokens) * rate("input") +
    BigInt(cachedTokens) * rate("cachedInput") +
    BigInt(completionTokens) * rate("output")
  );
}

/** Micro-tokens a token of a class; every model but the flat one has the same. */
export function rate(name: string): bigint {
  const found = BigInt(demoSmall().rates[name] ?? "0");
  if (found % million !== 0n) throw new Error(`the demo rate ${name} is not a whole number of micro-tokens a token`);
  return found / million;
}

let known: z.output<typeof entry> | undefined;

function demoSmall(): z.output<typeof entry> {
  known ??= file
    .parse(JSON.parse(readFileSync(path.join(root, "deploy/local/demo-prices.json"), "utf8")))
    .models.find(({ model }) => model === "demo-small");
  if (known === undefined) throw new Error("deploy/local/demo-prices.json has no demo-small");
  return known;
}
