import { tokenClasses } from "@codex/demo-upstream";
import { z } from "zod";
import type { UsageRow } from "../../chaos/src/books.ts";
import { rate } from "../../chaos/src/models.ts";
import type { Task } from "./agent.ts";

/** Holds what billing booked against what the upstream delivered, by plain arithmetic and not by the code under test. */

export interface Delivery {
  readonly requestId: string;
  readonly path: string;
  readonly status: number | null;
  readonly usage: Readonly<Record<string, unknown>> | null;
}

const line = z.looseObject({
  requestId: z.string(),
  path: z.string(),
  status: z.number().nullable(),
  reportedUsage: z.record(z.string(), z.unknown()).nullable(),
});

/** What is not charged anywhere. */
const freePaths = new Set(["/v1/messages/count_tokens"]);

/** The charged requests of the demo upstream's journal file; each of its lines is one. Throws for a line that is none. */
export function readDeliveries(journal: string): readonly Delivery[] {
  return journal
    .split("\n")
    .filter((text) => text !== "")
    .map((text) => line.parse(JSON.parse(text)))
    .filter(({ path }) => !freePaths.has(path))
    .map(({ requestId, path, status, reportedUsage }) => ({ requestId, path, status, usage: reportedUsage }));
}

/** Micro-tokens. */
export function priceOf(usage: Readonly<Record<string, unknown>>): bigint {
  return Object.entries<number>({ ...tokenClasses(usage) }).reduce(
    (sum, [name, count]) => sum + BigInt(count) * rate(name),
    0n,
  );
}

/** A call of a tool and the answer after it. */
const requestsMin = 2;

/** What is wrong with the rows of one task; nothing when each request was answered well and charged once, at its price. */
export function wrongCharges(
  { model, route }: Pick<Task, "model" | "route">,
  rows: readonly UsageRow[],
  deliveries: readonly Delivery[],
): readonly string[] {
  const few = rows.length < requestsMin ? [`${String(rows.length)} requests were charged, not at least two`] : [];
  return [...few, ...rows.flatMap((row) => wrongRow(row, rows, deliveries, { model, route }))];
}

function wrongRow(
  row: UsageRow,
  rows: readonly UsageRow[],
  deliveries: readonly Delivery[],
  { model, route }: Pick<Task, "model" | "route">,
): readonly string[] {
  const said = (what: string): string[] => [`${row.requestId}: ${what}`];
  const own = deliveries.filter(({ requestId }) => requestId === row.requestId);
  const [delivery] = own;
  if (!delivery || own.length > 1) return said(`the upstream answered it ${String(own.length)} times`);
  if (rows.filter(({ requestId }) => requestId === row.requestId).length > 1) return said("charged more than once");
  if (row.status !== "ok" || row.estimated) return said(`booked as ${row.status}${row.estimated ? ", estimated" : ""}`);
  if (delivery.path !== route || row.model !== model) return said(`asked ${delivery.path} for ${row.model}`);
  const price = priceOf(delivery.usage ?? {});
  return row.charged === price ? [] : said(`charged ${String(row.charged)} micro-tokens, not ${String(price)}`);
}

/** Answers that nobody was charged for. */
export function uncharged(rows: readonly UsageRow[], deliveries: readonly Delivery[]): readonly string[] {
  const charged = new Set(rows.map(({ requestId }) => requestId));
  return deliveries
    .filter(({ requestId }) => !charged.has(requestId))
    .map(
      ({ requestId, path, status }) =>
        `${requestId}: ${path} was answered with ${String(status)} and is not in the books`,
    );
}
