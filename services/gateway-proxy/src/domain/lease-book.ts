import type { AccountId, LeaseId, MicroTokens } from "@codex/kernel";

/**
 * A worker's own account of the money it was lent. Pure bookkeeping, no clock and no I/O: the caller passes the time.
 *
 * Glossary
 *   granted  what billing reserved for the lease
 *   held     sum of the worst cases of running requests
 *   spent    sum of charges of finished requests
 *   free     granted − held − spent, never negative
 */

export interface Lease {
  readonly leaseId: LeaseId;
  readonly accountId: AccountId;
  readonly granted: MicroTokens;
  /** On the worker's monotonic clock, taken before the grant was asked for. Stops admissions, frees nothing. */
  readonly expiresAtMs: number;
  held: MicroTokens;
  spent: MicroTokens;
  running: number;
}

export interface Ticket {
  readonly lease: Lease;
  readonly hold: MicroTokens;
}

export class LeaseBook {
  private readonly byAccount = new Map<AccountId, Lease[]>();

  /** Takes `hold` out of a live lease; undefined when none has room. */
  admit(accountId: AccountId, hold: MicroTokens, nowMs: number): Ticket | undefined {
    const lease = this.byAccount
      .get(accountId)
      ?.find((candidate) => candidate.expiresAtMs > nowMs && free(candidate) >= hold);
    if (!lease) return undefined;
    lease.held += hold;
    lease.running += 1;
    return { lease, hold };
  }

  add(lease: Pick<Lease, "leaseId" | "accountId" | "granted" | "expiresAtMs">): void {
    const leases = this.byAccount.get(lease.accountId) ?? [];
    leases.push({ ...lease, held: 0n, spent: 0n, running: 0 });
    this.byAccount.set(lease.accountId, leases);
  }

  /** Ends a request: the hold is released, the charge is spent. A charge above the hold is a defect and is refused. */
  settle(ticket: Ticket, cost: MicroTokens): void {
    if (cost < 0n || cost > ticket.hold) throw new RangeError("charge outside the hold");
    ticket.lease.held -= ticket.hold;
    ticket.lease.spent += cost;
    ticket.lease.running -= 1;
  }

  /** Removes and returns the leases that can be closed: nothing runs on them and they are expired or used up. */
  takeFinished(nowMs: number): Lease[] {
    return this.takeFromAll((lease) => isFinished(lease, nowMs));
  }

  /** The same for one account: what the end of a request asks, whose cost must not grow with the number of accounts. */
  takeFinishedOf(accountId: AccountId, nowMs: number): Lease[] {
    return this.take(accountId, (lease) => isFinished(lease, nowMs));
  }

  /** Removes and returns an account's leases on which nothing runs, so that their rest can be granted anew. */
  takeIdle(accountId: AccountId): Lease[] {
    return this.take(accountId, () => true);
  }

  /** Removes and returns everything that is not in use: for the end of a worker's life. */
  takeAll(): Lease[] {
    return this.takeFromAll(() => true);
  }

  /** Micro-tokens free on live leases of an account. */
  freeOf(accountId: AccountId, nowMs: number): MicroTokens {
    const leases = this.byAccount.get(accountId) ?? [];
    return leases.reduce((sum, lease) => (lease.expiresAtMs > nowMs ? sum + free(lease) : sum), 0n);
  }

  get size(): number {
    let leases = 0;
    for (const list of this.byAccount.values()) leases += list.length;
    return leases;
  }

  private takeFromAll(wanted: (lease: Lease) => boolean): Lease[] {
    return [...this.byAccount.keys()].flatMap((accountId) => this.take(accountId, wanted));
  }

  private take(accountId: AccountId, wanted: (lease: Lease) => boolean): Lease[] {
    const leases = this.byAccount.get(accountId) ?? [];
    const taken = leases.filter((lease) => lease.running === 0 && wanted(lease));
    if (taken.length === 0) return taken;
    const kept = leases.filter((lease) => !taken.includes(lease));
    if (kept.length === 0) this.byAccount.delete(accountId);
    else this.byAccount.set(accountId, kept);
    return taken;
  }
}

function isFinished(lease: Lease, nowMs: number): boolean {
  return lease.expiresAtMs <= nowMs || free(lease) <= 0n;
}

function free(lease: Lease): MicroTokens {
  return lease.granted - lease.held - lease.spent;
}
