import { readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { World } from "./world.ts";

/** What must have come to rest before the books may be compared: the query counts what has not. */
const restless: Readonly<Record<string, string>> = {
  "leases are open": "select count(*) as n from lease where state in ('open', 'closing')",
  "accounts have money held": "select count(*) as n from balance where reserved <> 0",
  "charges wait for the refund that the rules promise": `
    select count(*) as n from usage_line u where charged > 0
      and (status in ('upstream_error', 'upstream_cut') or (status = 'ok' and tokens_output = 0 and tokens_reasoning = 0))
      and not exists (select from usage_refund r where r.account_id = u.account_id and r.request_id = u.request_id)`,
  "events wait in the outbox": "select count(*) as n from outbox",
};

/** Waits at most `timeoutMs`. Says what has not come to rest; nothing when all has. */
export async function untilQuiet(world: World, timeoutMs: number): Promise<readonly string[]> {
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    const left = await unrest(world);
    if (left.length === 0 || performance.now() > untilMs) return left;
    await delay(200);
  }
}

async function unrest(world: World): Promise<string[]> {
  const found: string[] = [];
  try {
    for (const [what, text] of Object.entries(restless)) {
      const { rows } = await world.admin.query<{ n: string }>(text);
      if (rows[0]?.n !== "0") found.push(`${rows[0]?.n ?? "?"} ${what}`);
    }
  } catch (error) {
    found.push(`the database does not answer: ${String(error)}`);
  }
  return [...found, ...earlierLives(world)];
}

/** A gateway that came up a moment ago still tells what an earlier life of it left: its own files are those of one epoch. */
function earlierLives(world: World): string[] {
  return world.fleet.gateways
    .filter(({ spoolDir }) => new Set(spoolsIn(spoolDir).map((name) => name.split("-")[0])).size > 1)
    .map(({ program }) => `${program.name} has not told everything of its earlier lives`);
}

function spoolsIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".spool"));
}

/** After the gateways were stopped in order: what is still in their spools was never confirmed. */
export function leftInSpools(world: World): readonly string[] {
  return world.fleet.gateways.flatMap(({ program, spoolDir }) =>
    spoolsIn(spoolDir).map((name) => `${program.name} still has ${name}`),
  );
}
