import type { AccountId, KeyId, LeaseId, MicroTokens } from "@codex/kernel";

/**
 * A worker's own account of the money it was lent. Pure bookkeeping, no clock and no I/O: the caller passes the time.
 *
 * Glossary
 *   purse    what a lease may be spent by: an account, or one capped key of it; named by the id of either
 *   granted  what the lease is still worth here: what billing reserved, less what was given back
 *   held     sum of the worst cases of running requests
 *   spent    sum of charges of finished requests
 *   free     granted − held − spent, never negative
 *   ceiling  held + spent: the most that can ever be charged on the lease, once it admits nobody any more
 */

export type Purse = AccountId | KeyId;

export interface Lease {
  readonly leaseId: LeaseId;
  readonly accountId: AccountId;
  readonly purse: Purse;
  /** Decides which prices apply to the account. */
  readonly priceGroup: string;
  /** On the worker's monotonic clock, taken before the grant was asked for. Stops admissions, frees nothing. */
  readonly expiresAtMs: number;
  /** When a successor should be asked for, so that requests go on finding a lease. */
  readonly renewAtMs: number;
  granted: MicroTokens;
  /** What billing believes is granted: more than `granted` until it has confirmed a return. */
  reserved: MicroTokens;
  held: MicroTokens;
  spent: MicroTokens;
  running: number;
  usedAtMs: number;
}

export type NewLease = Omit<Lease, "reserved" | "held" | "spent" | "running" | "usedAtMs">;

export interface Ticket {
  readonly lease: Lease;
  readonly hold: MicroTokens;
}

/** A lease and the value to which billing may lower it. */
export interface Return {
  readonly lease: Lease;
  readonly ceiling: MicroTokens;
}

export class LeaseBook {
  private readonly byPurse = new Map<Purse, Lease[]>();
  private readonly purses = new Map<AccountId, Set<Purse>>();

  /** Takes `hold` out of a live lease; undefined when none has room. */
  admit(purse: Purse, hold: MicroTokens, nowMs: number): Ticket | undefined {
    const leases = this.byPurse.get(purse);
    if (!leases) return undefined;
    for (const lease of leases) {
      if (lease.expiresAtMs <= nowMs || free(lease) < hold) continue;
      lease.held += hold;
      lease.running += 1;
      lease.usedAtMs = nowMs;
      return { lease, hold };
    }
    return undefined;
  }

  add(lease: NewLease, nowMs: number): void {
    const added = { ...lease, reserved: lease.granted, held: 0n, spent: 0n, running: 0, usedAtMs: nowMs };
    const leases = this.byPurse.get(lease.purse);
    if (leases) leases.push(added);
    else this.byPurse.set(lease.purse, [added]);
    const purses = this.purses.get(lease.accountId);
    if (purses) purses.add(lease.purse);
    else this.purses.set(lease.accountId, new Set([lease.purse]));
  }

  /** Price group of the account as its newest lease says; undefined while it has none. */
  priceGroupOf(accountId: AccountId): string | undefined {
    let newest: Lease | undefined;
    for (const purse of this.purses.get(accountId) ?? []) {
      const last = this.byPurse.get(purse)?.at(-1);
      if (last && (!newest || last.expiresAtMs > newest.expiresAtMs)) newest = last;
    }
    return newest?.priceGroup;
  }

  /** Ends a request: the hold is released, the charge is spent. A charge above the hold is a defect and is refused. */
  settle(ticket: Ticket, cost: MicroTokens): void {
    if (cost < 0n || cost > ticket.hold) throw new RangeError("charge outside the hold");
    ticket.lease.held -= ticket.hold;
    ticket.lease.spent += cost;
    ticket.lease.running -= 1;
  }

  /**
   * Takes what is free out of every lease of the account, so that no request can use it any more; answers what billing may
   * be told. Leases of which billing was told before and did not confirm are in it again.
   */
  giveBack(accountId: AccountId, wanted: (lease: Lease) => boolean = () => true): Return[] {
    const returns: Return[] = [];
    for (const purse of this.purses.get(accountId) ?? []) {
      for (const lease of this.byPurse.get(purse) ?? []) {
        if (!wanted(lease)) continue;
        lease.granted = lease.held + lease.spent;
        if (lease.reserved > lease.granted) returns.push({ lease, ceiling: lease.granted });
      }
    }
    return returns;
  }

  /** Removes and returns the leases that can be closed: nothing runs on them and they are expired, used up or long idle. */
  takeFinished(nowMs: number, idleMs = Infinity): Lease[] {
    return this.takeFromAll((lease) => isFinished(lease, nowMs) || nowMs - lease.usedAtMs >= idleMs);
  }

  /** The same for one purse: what the end of a request asks, whose cost must not grow with the number of accounts. */
  takeFinishedOf(purse: Purse, nowMs: number): Lease[] {
    return this.take(purse, (lease) => isFinished(lease, nowMs));
  }

  /** Removes and returns an account's leases on which nothing runs, so that their rest can be granted anew. */
  takeIdle(accountId: AccountId): Lease[] {
    return [...(this.purses.get(accountId) ?? [])].flatMap((purse) => this.take(purse, () => true));
  }

  /** Removes and returns everything that is not in use: for the end of a worker's life. */
  takeAll(): Lease[] {
    return this.takeFromAll(() => true);
  }

  /** Micro-tokens free on live leases of a purse. */
  freeOf(purse: Purse, nowMs: number): MicroTokens {
    const leases = this.byPurse.get(purse) ?? [];
    return leases.reduce((sum, lease) => (lease.expiresAtMs > nowMs ? sum + free(lease) : sum), 0n);
  }

  has(accountId: AccountId): boolean {
    return this.purses.has(accountId);
  }

  /** The purses of an account that have leases. */
  pursesOf(accountId: AccountId): Iterable<Purse> {
    return this.purses.get(accountId) ?? [];
  }

  /** Whether another lease will take over from one that is near its end. */
  hasSuccessor(purse: Purse, hold: MicroTokens, nowMs: number): boolean {
    return this.byPurse.get(purse)?.some((lease) => lease.renewAtMs > nowMs && free(lease) >= hold) ?? false;
  }

  get size(): number {
    let leases = 0;
    for (const list of this.byPurse.values()) leases += list.length;
    return leases;
  }

  private takeFromAll(wanted: (lease: Lease) => boolean): Lease[] {
    return [...this.byPurse.keys()].flatMap((purse) => this.take(purse, wanted));
  }

  private take(purse: Purse, wanted: (lease: Lease) => boolean): Lease[] {
    const leases = this.byPurse.get(purse) ?? [];
    const taken = leases.filter((lease) => lease.running === 0 && wanted(lease));
    const [first] = taken;
    if (!first) return taken;
    const kept = leases.filter((lease) => !taken.includes(lease));
    if (kept.length > 0) {
      this.byPurse.set(purse, kept);
      return taken;
    }
    this.byPurse.delete(purse);
    const purses = this.purses.get(first.accountId);
    purses?.delete(purse);
    if (purses?.size === 0) this.purses.delete(first.accountId);
    return taken;
  }
}

export function isFinished(lease: Lease, nowMs: number): boolean {
  return lease.expiresAtMs <= nowMs || free(lease) <= 0n;
}

export function free(lease: Lease): MicroTokens {
  return lease.granted - lease.held - lease.spent;
}
