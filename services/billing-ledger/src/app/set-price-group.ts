import { defaultPriceGroup } from "@codex/contracts";
import type { AccountId } from "@codex/kernel";
import type { PriceGroupStore, PriceVersionStore } from "./price-ports.ts";

export interface GroupAsk {
  readonly actor: AccountId;
  readonly accountId: AccountId;
  readonly group: string;
  readonly reason: string;
}

export type GroupOutcome =
  | { readonly ok: true; readonly before: string }
  | { readonly ok: false; readonly refused: "own_account" | "unknown_group" };

/**
 * Puts an account into a group of the book in force, of the next one, or back into `default`. Leases granted from then on carry
 * it, so running workers follow within the life of a lease. Safe to repeat.
 */
export async function setPriceGroup(
  prices: Pick<PriceVersionStore, "currentVersion" | "nextVersion" | "byVersion"> & PriceGroupStore,
  { actor, accountId, group, reason }: GroupAsk,
): Promise<GroupOutcome> {
  if (actor === accountId) return { ok: false, refused: "own_account" };
  if (group !== defaultPriceGroup && !(await knownGroups(prices)).has(group)) {
    return { ok: false, refused: "unknown_group" };
  }
  return { ok: true, before: await prices.setGroup(accountId, group, actor, reason) };
}

async function knownGroups(
  prices: Pick<PriceVersionStore, "currentVersion" | "nextVersion" | "byVersion">,
): Promise<ReadonlySet<string>> {
  const versions = [await prices.currentVersion(), await prices.nextVersion()];
  const names = new Set<string>();
  for (const version of versions) {
    const book = version === undefined ? undefined : await prices.byVersion(version);
    for (const { group } of book?.groups ?? []) names.add(group);
  }
  return names;
}
