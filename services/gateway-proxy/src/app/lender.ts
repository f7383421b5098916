import {
  AppError,
  formatAmount,
  type AccountId,
  type Clock,
  type LeaseId,
  type MicroTokens,
  type Result,
} from "@codex/kernel";
import type { Hold } from "../domain/hold.ts";
import { LeaseBook, type Ticket } from "../domain/lease-book.ts";

/**
 * Admission: a request is let in when a lease has room for its hold, else billing is asked for a lease. Grants of one
 * account are asked one at a time, so that a burst asks once and not a hundred times.
 */

export interface Grant {
  readonly leaseId: LeaseId;
  readonly granted: MicroTokens;
  readonly ttlMs: number;
}

export interface Refusal {
  readonly available: MicroTokens;
  readonly held: MicroTokens;
}

export interface LenderPorts {
  /** Idempotent by `requestNo`. Rejects with AppError `unavailable` when billing does not answer. */
  grant(ask: {
    readonly requestNo: number;
    readonly accountId: AccountId;
    readonly minimum: MicroTokens;
    readonly want: MicroTokens;
  }): Promise<Result<Grant, "insufficient_balance" | "account_frozen"> & { readonly refusal?: Refusal }>;
  /** Writes the lease to the spool; throws when the disk refuses. */
  leaseGranted(leaseId: LeaseId, accountId: AccountId): void;
  leaseClosed(leaseId: LeaseId, accountId: AccountId): void;
  /** Resolves when billing has seen every record so far, or after the deadline: closed leases are then free money again. */
  settled(deadlineMs: number): Promise<void>;
  readonly clock: Clock;
}

export interface Admission {
  readonly ticket: Ticket;
  readonly hold: Hold;
}

/** Ways to make a request cheaper that its first, cheap bound made too dear; tried in this order. */
export interface Economies {
  /** A closer bound of the same request; undefined when there is none. */
  tighten(): Promise<Hold | undefined>;
  /** The largest answer that fits into what is available; undefined when nothing useful does. */
  shorten(available: MicroTokens): Hold | undefined;
}

/** A grant asks for room for several requests like this one; billing gives less to a small balance. */
const wantFactor = 20n;
const settleWaitMs = 400;

export class Lender {
  private readonly book = new LeaseBook();
  private readonly ports: LenderPorts;
  private readonly queue = new Map<AccountId, Promise<unknown>>();
  private requestNo = 0;

  constructor(ports: LenderPorts) {
    this.ports = ports;
  }

  /**
   * Lets the request in, with `hold`, or with a smaller one that `economies` finds. Throws AppError
   * `credit_balance_exhausted` (quota), `account_frozen` (forbidden) or `service_unavailable`.
   */
  async admit(accountId: AccountId, hold: Hold, economies: Economies): Promise<Admission> {
    const ticket = this.book.admit(accountId, hold.amount, this.ports.clock.monotonicMs());
    if (ticket) return { ticket, hold };
    return this.inTurn(accountId, () => this.admitByGrant(accountId, hold, economies));
  }

  settle(ticket: Ticket, cost: MicroTokens): void {
    this.book.settle(ticket, cost);
    if (ticket.lease.running === 0) this.sweep();
  }

  /** Closes what is expired or used up. Called at every settle and by a timer, so that idle money goes back. */
  sweep(): void {
    for (const lease of this.book.takeFinished(this.ports.clock.monotonicMs())) {
      this.ports.leaseClosed(lease.leaseId, lease.accountId);
    }
  }

  /** Gives everything back that is not in use; returns how many leases are still in use. */
  closeAll(): number {
    for (const lease of this.book.takeAll()) this.ports.leaseClosed(lease.leaseId, lease.accountId);
    return this.book.size;
  }

  private async inTurn<T>(accountId: AccountId, work: () => Promise<T>): Promise<T> {
    const before = this.queue.get(accountId) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.queue.set(accountId, turn);
    try {
      return await turn;
    } finally {
      if (this.queue.get(accountId) === turn) this.queue.delete(accountId);
    }
  }

  private async admitByGrant(accountId: AccountId, hold: Hold, economies: Economies): Promise<Admission> {
    const waited = this.book.admit(accountId, hold.amount, this.ports.clock.monotonicMs());
    if (waited) return { ticket: waited, hold };
    let refusal = await this.borrow(accountId, hold.amount, hold.amount * wantFactor);
    if (refusal && this.giveBackIdle(accountId)) {
      await this.ports.settled(settleWaitMs);
      refusal = await this.borrow(accountId, hold.amount, hold.amount);
    }
    if (!refusal) return { ticket: this.take(accountId, hold.amount), hold };
    const tighter = await economies.tighten();
    const fits = tighter && tighter.amount <= refusal.available;
    const smaller = fits ? tighter : economies.shorten(refusal.available);
    if (!smaller) throw exhausted((tighter ?? hold).amount, refusal);
    const stillRefused = await this.borrow(accountId, smaller.amount, smaller.amount);
    if (stillRefused) throw exhausted(smaller.amount, stillRefused);
    return { ticket: this.take(accountId, smaller.amount), hold: smaller };
  }

  private take(accountId: AccountId, amount: MicroTokens): Ticket {
    const ticket = this.book.admit(accountId, amount, this.ports.clock.monotonicMs());
    if (ticket) return ticket;
    throw new AppError({
      kind: "unavailable",
      code: "service_unavailable",
      publicMessage: "The request could not be admitted in time. Please try again.",
      retryAfterSeconds: 1,
      detail: { reason: "lease expired before it was used" },
    });
  }

  /** Undefined = there is a lease now. */
  private async borrow(accountId: AccountId, minimum: MicroTokens, want: MicroTokens): Promise<Refusal | undefined> {
    this.requestNo += 1;
    const askedAtMs = this.ports.clock.monotonicMs();
    const answer = await this.ports.grant({ requestNo: this.requestNo, accountId, minimum, want });
    if (answer.ok) {
      const { leaseId, granted, ttlMs } = answer.value;
      this.ports.leaseGranted(leaseId, accountId);
      this.book.add({ leaseId, accountId, granted, expiresAtMs: askedAtMs + ttlMs });
      return undefined;
    }
    if (answer.code === "account_frozen") {
      throw new AppError({
        kind: "forbidden",
        code: "account_frozen",
        publicMessage: "This account is frozen. Please contact support.",
      });
    }
    return answer.refusal ?? { available: 0n, held: 0n };
  }

  private giveBackIdle(accountId: AccountId): boolean {
    const idle = this.book.takeIdle(accountId);
    for (const lease of idle) this.ports.leaseClosed(lease.leaseId, lease.accountId);
    return idle.length > 0;
  }
}

function exhausted(needed: MicroTokens, refusal: Refusal): AppError {
  const missing = needed > refusal.available ? needed - refusal.available : 0n;
  return new AppError({
    kind: "quota",
    code: "credit_balance_exhausted",
    publicMessage:
      `Not enough balance: this request may cost up to ${formatAmount(needed)} tokens, ` +
      `available ${formatAmount(refusal.available)} (${formatAmount(refusal.held)} held by running requests). ` +
      `Top up by ${formatAmount(missing)} or set a smaller max_tokens.`,
    metadata: {
      limit_source: "balance",
      needed: formatAmount(needed),
      available: formatAmount(refusal.available),
      held: formatAmount(refusal.held),
      currency: "token",
    },
  });
}
