import { createHash } from "node:crypto";
import type { PriceBook } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { canonicalPrices, priceListProblems } from "../domain/price-list.ts";
import type { PriceStore } from "./ports.ts";

export type ImportOutcome =
  | { readonly ok: true; readonly version: PriceBook["version"]; readonly created: boolean }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Makes the list the price version in force; nothing happens when it says what the current one says. Safe to repeat. */
export async function importPrices(prices: PriceStore, models: PriceBook["models"]): Promise<ImportOutcome> {
  const problems = priceListProblems(models);
  if (problems.length > 0) return { ok: false, problems };
  const contentHash = createHash("sha256").update(canonicalPrices(models)).digest();
  return { ok: true, ...(await prices.create(newId("prc"), models, contentHash)) };
}
