import type { Journal } from "../journal.ts";
import { invalidRequest } from "./errors.ts";
import type { Exchange } from "./exchange.ts";

const limitDefault = 1_000;
const limitMax = 10_000;

function wholeNumber(query: URLSearchParams, name: string, fallback: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  if (!/^\d{1,15}$/.test(text)) throw invalidRequest(`${name} must be a whole number`, name);
  return Number(text);
}

/** `GET /_demo/journal?since=&limit=`: entries with `seq` above `since` (0 = from the start), at most 10,000 a page. */
export async function journalPage(exchange: Exchange, journal: Journal): Promise<void> {
  const query = exchange.url.searchParams;
  const limit = Math.min(wholeNumber(query, "limit", limitDefault), limitMax);
  const page = journal.page(wholeNumber(query, "since", 0), limit);
  exchange.res.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
  await exchange.end(JSON.stringify(page));
}
