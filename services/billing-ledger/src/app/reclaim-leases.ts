import type { LeaseEvents, LeaseStore, Reclaimed } from "./lease-ports.ts";

/**
 * Gives the customers back what lost workers hold: leases of an epoch that was silent for so long, or of one epoch by
 * command. What such a worker still spools is written off, never charged. Any number of replicas may run it; one works.
 */
export async function reclaimLeases(
  deps: { readonly leases: Pick<LeaseStore, "reclaim">; readonly events: Pick<LeaseEvents, "leasesReclaimed"> },
  which: Parameters<LeaseStore["reclaim"]>[0],
  signal?: AbortSignal,
): Promise<readonly Reclaimed[]> {
  const all: Reclaimed[] = [];
  while (signal?.aborted !== true) {
    const page = await deps.leases.reclaim(which);
    if (page.length === 0) break;
    for (const reclaimed of page) deps.events.leasesReclaimed(reclaimed);
    all.push(...page);
  }
  return all;
}
