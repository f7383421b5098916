import { cpSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { UsageRow } from "./books.ts";
import type { Observation } from "./client.ts";
import type { Delivery } from "./journal.ts";
import { reportLines } from "./report.ts";
import type { RunResult } from "./run.ts";
import type { World } from "./world.ts";

/** Requests of the summary; the first ones tell the story. */
const requestsMax = 500;

export interface Witnesses {
  readonly observations: readonly Observation[];
  readonly deliveries: readonly Delivery[];
  readonly usage: readonly UsageRow[];
}

/**
 * What one needs to find out why a run was not clean, in the run's folder: `post-mortem.txt` (the report),
 * `post-mortem.jsonl` (what each witness says of each lost, doubled or wrongly charged request), and the spools, which
 * would go with the small disks they lie on.
 */
export function writePostMortem(world: World, result: RunResult, witnesses: Witnesses): void {
  const { dataDir } = world;
  writeFileSync(path.join(dataDir, "post-mortem.txt"), `${reportLines(result).join("\n")}\n`);
  const { lost, doubled, wrong } = result.verdict;
  const ids = new Set([...lost, ...doubled, ...wrong].slice(0, requestsMax));
  const lines = [...ids].map((requestId) =>
    JSON.stringify(
      {
        requestId,
        client: witnesses.observations.find((one) => one.requestId === requestId),
        upstream: witnesses.deliveries.find((one) => one.requestId === requestId),
        booked: witnesses.usage.filter((one) => one.requestId === requestId),
      },
      (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value),
    ),
  );
  writeFileSync(path.join(dataDir, "post-mortem.jsonl"), lines.map((line) => `${line}\n`).join(""));
  for (const { program, spoolDir } of world.fleet.gateways) {
    cpSync(spoolDir, path.join(dataDir, "spool-left", program.name), { recursive: true });
  }
}
