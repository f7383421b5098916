/* eslint-disable security/constant-time -- the chain of days is there to be read: its hashes are no secrets. */
import { createHash } from "node:crypto";
import { dayParts, type DayContents, type Seal, type SealStore } from "./seal-ports.ts";
import type { CheckResult } from "./audit-ports.ts";

/** Far above the slowest transaction of ours, which ends by its timeouts within a minute. */
const graceMs = 900_000;
/** Days sealed by one call, for a system that was off for long. */
const daysMax = 400;
const dayMs = 86_400_000;
const genesis = "00".repeat(32);

/** As the CHECK of `ledger_seal` has it. */
export function digestOf(day: string, contents: DayContents): string {
  const lines = dayParts.map((part) => `${part} ${String(contents[part].rows)} ${contents[part].digest}\n`);
  const number = String(Date.parse(`${day}T00:00:00Z`) / dayMs);
  return createHash("sha256")
    .update(`${number}\n${lines.join("")}`)
    .digest("hex");
}

function hashOf(previousHash: string, digest: string): string {
  return createHash("sha256")
    .update(Buffer.from(previousHash + digest, "hex"))
    .digest("hex");
}

/** Seals every day that is over; answers how many. Any number of replicas at once. */
export async function sealDays(store: SealStore): Promise<number> {
  let sealed = 0;
  for (let round = 0; round < daysMax; round += 1) {
    const day = await store.nextDay(graceMs);
    if (day === undefined) break;
    const contents = await store.contents(day);
    if (await store.put(day, digestOf(day, contents), contents)) sealed += 1;
  }
  return sealed;
}

/**
 * The chain by itself, each day's rows against its seal, and the chain against seals that were kept elsewhere. `from`: the first
 * day whose rows are read again; the chain is checked from its begin.
 */
export async function verifySeals(
  store: SealStore,
  options: { readonly from?: string; readonly kept?: readonly Pick<Seal, "day" | "hash">[] } = {},
): Promise<CheckResult[]> {
  const seals = await store.all();
  const { from = "", kept = [] } = options;
  const contents: string[] = [];
  for (const seal of seals) if (seal.day >= from) contents.push(...(await changesOf(store, seal)));
  const own: CheckResult[] = [
    { id: "seal-chain", says: "the seals of the days form a chain", offenders: chainBreaks(seals), more: false },
    { id: "seal-contents", says: "a sealed day is what it was", offenders: contents, more: false },
  ];
  if (kept.length === 0) return own;
  const says = "the seals are those that were kept elsewhere";
  return [...own, { id: "seal-kept", says, offenders: differences(seals, kept), more: false }];
}

function chainBreaks(seals: readonly Seal[]): string[] {
  return seals.flatMap((seal, place) => {
    const before = seals[place - 1];
    const follows = before === undefined || Date.parse(seal.day) - Date.parse(before.day) === dayMs;
    const linked = seal.previousHash === (before?.hash ?? genesis);
    const fits =
      seal.digest === digestOf(seal.day, seal.contents) && seal.hash === hashOf(seal.previousHash, seal.digest);
    return follows && linked && fits ? [] : [JSON.stringify({ day: seal.day, follows, linked, fits })];
  });
}

async function changesOf(store: SealStore, { day, contents }: Seal): Promise<string[]> {
  const now = await store.contents(day);
  const archived = await store.archivedSince(day);
  return dayParts
    .filter((part) => part !== "usage" || !archived)
    .filter((part) => now[part].digest !== contents[part].digest || now[part].rows !== contents[part].rows)
    .map((part) => JSON.stringify({ day, part, sealedRows: contents[part].rows, rows: now[part].rows }));
}

function differences(seals: readonly Seal[], kept: readonly Pick<Seal, "day" | "hash">[]): string[] {
  const hashes = new Map(seals.map(({ day, hash }) => [day, hash]));
  return kept
    .filter(({ day, hash }) => hashes.get(day) !== hash)
    .map(({ day, hash }) => JSON.stringify({ day, kept: hash, now: hashes.get(day) ?? null }));
}
