import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { priceBook, priceBookKv, type PriceBook } from "@codex/contracts";
import { newId, type AccountId } from "@codex/kernel";
import { z } from "zod";
import { canonicalPrices, priceListProblems } from "../domain/price-list.ts";
import type { NewPriceVersion, PriceVersionId, PriceVersionStore } from "./price-ports.ts";

export interface ImportOptions {
  readonly groups?: PriceBook["groups"];
  /** When the list becomes the version in force; now when absent. */
  readonly effectiveAt?: Date | undefined;
  readonly createdBy?: AccountId;
  readonly command?: NewPriceVersion["command"];
}

export type ImportOutcome =
  | {
      readonly ok: true;
      readonly version: PriceVersionId;
      readonly effectiveAt: Date;
      readonly created: boolean;
      readonly replayed: boolean;
    }
  | { readonly ok: false; readonly refused: "invalid"; readonly problems: readonly string[] }
  | { readonly ok: false; readonly refused: "too_late" | "key_reused"; readonly problems: readonly string[] };

/**
 * Makes the list a price version, in force now or at the given time; nothing happens when it says what the version of that
 * time says anyway. Safe to repeat.
 */
export async function importPrices(
  prices: Pick<PriceVersionStore, "create">,
  models: PriceBook["models"],
  options: ImportOptions = {},
): Promise<ImportOutcome> {
  const groups = options.groups ?? [];
  const problems = [...priceListProblems(models, groups), ...sizeProblems(models, groups)];
  if (problems.length > 0) return { ok: false, refused: "invalid", problems };
  const done = await prices.create({
    version: newId("prc"),
    models,
    groups,
    contentHash: createHash("sha256").update(canonicalPrices(models, groups)).digest(),
    effectiveAt: options.effectiveAt,
    createdBy: options.createdBy,
    command: options.command,
  });
  switch (done.outcome) {
    case "done":
      return {
        ok: true,
        version: done.version,
        effectiveAt: done.effectiveAt,
        created: done.created,
        replayed: done.replayed,
      };
    case "too_late":
      return { ok: false, refused: "too_late", problems: ["effectiveAt: has passed; leave it out for now"] };
    case "key_reused":
      return { ok: false, refused: "key_reused", problems: ["the key was used for another list"] };
  }
}

/** A version that could not be sent to the gateways must never be in force: the bucket's bound is the list's. */
function sizeProblems(models: PriceBook["models"], groups: PriceBook["groups"]): string[] {
  const book = { version: newId("prc"), effectiveAt: new Date(0).toISOString(), models, groups };
  const text = JSON.stringify(z.encode(priceBook, book));
  const { maxValueBytes, gzipAboveBytes = Number.POSITIVE_INFINITY } = priceBookKv;
  const bytes = Buffer.byteLength(text) > gzipAboveBytes ? gzipSync(text).length : Buffer.byteLength(text);
  return bytes > maxValueBytes ? [`the list takes ${String(bytes)} bytes; gateways take ${String(maxValueBytes)}`] : [];
}
