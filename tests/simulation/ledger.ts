import type { AccountId, RequestId } from "@codex/kernel";
import { isLive } from "./billing-model.ts";
import type { World } from "./world.ts";

/** What customers were served, kept apart from every part under test; and what must follow from it. */

interface Served {
  readonly accountId: AccountId;
  readonly hold: bigint;
  readonly cost: bigint;
  readonly gateway: string;
  deliveredAtMs: number | undefined;
  /** Its record may be lost with a disk, or with the last unsynced bytes. */
  excused: boolean;
}

/** Records of the last moment may be unsynced: the group of 10 ms, and the sync itself. */
const unsyncedMs = 30;

export class Ledger {
  readonly served = new Map<RequestId, Served>();
  powerCuts = 0;
  disksLost = 0;
  opened(requestId: RequestId, served: Omit<Served, "deliveredAtMs" | "excused">): void {
    this.served.set(requestId, { ...served, deliveredAtMs: undefined, excused: false });
  }

  delivered(requestId: RequestId, atMs: number): void {
    const served = this.served.get(requestId);
    if (served) served.deliveredAtMs = atMs;
  }

  /** `lastSyncMs`: until then the process did what it had to; it may have stood still since. */
  died(gateway: string, death: string, lastSyncMs: number): void {
    if (death === "power cut") this.powerCuts += 1;
    if (death === "disk lost") this.disksLost += 1;
    for (const served of this.served.values()) {
      if (served.gateway !== gateway) continue;
      const late = served.deliveredAtMs === undefined || lastSyncMs - served.deliveredAtMs <= unsyncedMs;
      if (death === "disk lost" || (death === "power cut" && late)) served.excused = true;
    }
  }

  /** What must hold at every moment. */
  alwaysBroken({ billing }: World): string[] {
    const broken: string[] = [];
    const held = new Map<AccountId, bigint>();
    for (const lease of billing.leases.values()) {
      if (lease.settled > lease.granted) broken.push(`lease ${lease.id} settled more than it was granted`);
      if (isLive(lease)) held.set(lease.accountId, (held.get(lease.accountId) ?? 0n) + lease.granted - lease.settled);
    }
    for (const [accountId, account] of billing.accounts) {
      if (account.reserved !== (held.get(accountId) ?? 0n))
        broken.push(`I5: ${accountId} reserves what no lease holds`);
      if (account.charged + account.reserved > account.credited) broken.push(`I6: ${accountId} is overspent`);
    }
    for (const requestId of billing.fresh) {
      const booked = billing.booked.get(requestId);
      if (!booked) continue;
      const { times, charged, record } = booked;
      const served = this.served.get(requestId);
      if (times > 1) broken.push(`I8: ${requestId} was charged ${String(times)} times`);
      if (!served) broken.push(`${requestId} was charged and never served`);
      else if (charged > served.hold) broken.push(`${requestId} was charged above its hold`);
      else if (served.deliveredAtMs === undefined && charged > served.cost)
        broken.push(`${requestId} was charged too much`);
      if (record.accountId !== served?.accountId) broken.push(`${requestId} was charged to somebody else`);
    }
    billing.fresh.clear();
    return broken;
  }

  /** What must hold when the faults have stopped and everything is drained. */
  finallyBroken(world: World): string[] {
    const { billing } = world;
    const broken = this.alwaysBroken(world);
    const gentle = this.powerCuts === 0 && this.disksLost === 0;
    for (const [requestId, { cost, deliveredAtMs, excused }] of this.served) {
      const booked = billing.booked.get(requestId);
      if (excused) continue;
      if (!booked) broken.push(`${requestId} was served and never charged`);
      else if (deliveredAtMs !== undefined && booked.charged !== cost) {
        broken.push(`${requestId} cost ${String(cost)} and was charged ${String(booked.charged)}`);
      }
    }
    for (const [accountId, account] of billing.accounts) {
      if (account.reserved !== 0n) broken.push(`liveness: ${accountId} still reserves ${String(account.reserved)}`);
    }
    for (const lease of billing.leases.values()) {
      if (isLive(lease)) broken.push(`liveness: lease ${lease.id} was never closed`);
      if (gentle && lease.workerSettled !== lease.settled)
        broken.push(`I11: lease ${lease.id} differs from its worker's sum`);
    }
    if (gentle && billing.writtenOff !== 0n) broken.push(`${String(billing.writtenOff)} were written off without need`);
    if (this.disksLost === 0 && billing.conflicts.length > 0)
      broken.push(
        `${String(billing.conflicts.length)} records changed under their number: ${billing.conflicts[0] ?? ""}`,
      );
    if (this.disksLost === 0)
      for (const name of billing.beyondHoles()) broken.push(`I7: record ${name} is above a hole`);
    return broken;
  }
}
