// Before anything that reads or writes a file: see its last lines.
import "./memory-files.ts";
import { parseArgs } from "node:util";
import type { Defect } from "./billing-model.ts";
import { simulate } from "./simulation.ts";

/**
 * `pnpm simulate [--seeds 2000] [--seed N] [--defect free-at-expiry]`: the gateway's money code against a model of billing, bus,
 * disk and time. Each seed is one history; `--seed N` replays it. Exit 0 when every one holds, 1 when one does not.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "2000" },
    seed: { type: "string" },
    defect: { type: "string", default: "none" },
  },
});

const single = values.seed === undefined ? undefined : Number(values.seed);
const first = single ?? 1;
const count = single === undefined ? Number(values.seeds) : 1;
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1)
  throw new RangeError("seeds are whole numbers");

const startedMs = performance.now();
let failed = 0;
let served = 0;
let deaths = 0;
let virtualMs = 0;
for (let seed = first; seed < first + count; seed += 1) {
  const outcome = await simulate(seed, values.defect as Defect);
  served += outcome.served;
  deaths += outcome.deaths;
  virtualMs += outcome.virtualMs;
  if (single !== undefined) process.stdout.write(`${JSON.stringify(outcome, null, 2)}\n`);
  if (outcome.broken.length === 0) continue;
  failed += 1;
  process.stdout.write(
    `seed ${String(seed)} broke:\n${outcome.broken
      .slice(0, 5)
      .map((line) => `  ${line}\n`)
      .join("")}`,
  );
  if (single === undefined) process.stdout.write(`  ${outcome.history.slice(-12).join("; ")}\n`);
  process.stdout.write(`  replay: npm run simulate -- --seed ${String(seed)}\n`);
}
const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
process.stdout.write(
  `${String(count)} seeds, ${String(failed)} broken, ${String(served)} requests, ${String(deaths)} deaths, ` +
    `${(virtualMs / 3_600_000).toFixed(1)} hours in ${seconds} s\n`,
);
process.exitCode = failed === 0 ? 0 : 1;
