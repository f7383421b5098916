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
import { LeaseBook, type Lease, type Ticket } from "../domain/lease-book.ts";

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

type Borrowed = { readonly ok: true; readonly value: Admission } | { readonly ok: false; readonly refusal: Refusal };

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
/** A lease closed longer ago than this has been freed by billing, or billing is not well and waiting would not help. */
const closedLatelyMs = 2_000;
/** Pause before a lost ask is repeated for its own sake. */
const askAgainMs = 5_000;

export class Lender {
  private readonly book = new LeaseBook();
  private readonly ports: LenderPorts;
  private readonly queue = new Map<AccountId, Promise<unknown>>();
  private requestNo = 0;
  /** Asks whose answer was lost: billing may have granted them, so their number is used again. */
  private readonly unanswered = new Map<AccountId, { readonly requestNo: number; readonly lostAtMs: number }>();
  private readonly closedAtMs = new Map<AccountId, number>();

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
    if (ticket.lease.running > 0) return;
    const nowMs = this.ports.clock.monotonicMs();
    for (const lease of this.book.takeFinishedOf(ticket.lease.accountId, nowMs)) this.close(lease);
  }

  /** Closes what is expired or used up, and asks after lost answers. Looks at every account, so it belongs on a timer. */
  sweep(): void {
    const nowMs = this.ports.clock.monotonicMs();
    for (const lease of this.book.takeFinished(nowMs)) this.close(lease);
    for (const [accountId, closedAtMs] of this.closedAtMs) {
      if (nowMs - closedAtMs <= closedLatelyMs) break;
      this.closedAtMs.delete(accountId);
    }
    this.recoverLost(nowMs);
  }

  /** Gives everything back that is not in use; returns how many leases are still in use. */
  closeAll(): number {
    for (const lease of this.book.takeAll()) this.close(lease);
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
    const first = await this.borrow(accountId, hold, hold.amount * wantFactor);
    if (first.ok) return first.value;
    let { refusal } = first;
    if (this.giveBackIdle(accountId)) {
      await this.ports.settled(settleWaitMs);
      const second = await this.borrow(accountId, hold, hold.amount);
      if (second.ok) return second.value;
      refusal = second.refusal;
    }
    const tighter = await economies.tighten();
    const fits = tighter && tighter.amount <= refusal.available;
    const smaller = fits ? tighter : economies.shorten(refusal.available);
    if (!smaller) throw exhausted((tighter ?? hold).amount, refusal);
    const last = await this.borrow(accountId, smaller, smaller.amount);
    if (last.ok) return last.value;
    throw exhausted(smaller.amount, last.refusal);
  }

  /**
   * Asks for a lease and admits on it in the same step, so that nobody else can take its room in between. An ask whose
   * answer is lost keeps its number: the next one of the account gets the lease that billing may have granted.
   */
  private async borrow(accountId: AccountId, hold: Hold, want: MicroTokens): Promise<Borrowed> {
    const asksMax = this.unanswered.has(accountId) ? 2 : 1;
    for (let ask = 1; ask <= asksMax; ask += 1) {
      const refusal = await this.askGrant(accountId, hold.amount, want);
      if (refusal) return { ok: false, refusal };
      const ticket = this.book.admit(accountId, hold.amount, this.ports.clock.monotonicMs());
      if (ticket) return { ok: true, value: { ticket, hold } };
    }
    throw new AppError({
      kind: "unavailable",
      code: "service_unavailable",
      publicMessage: "The request could not be admitted in time. Please try again.",
      retryAfterSeconds: 1,
      detail: { reason: "lease expired before it was used" },
    });
  }

  /** Undefined = there is one more lease in the book. */
  private async askGrant(accountId: AccountId, minimum: MicroTokens, want: MicroTokens): Promise<Refusal | undefined> {
    const askedAtMs = this.ports.clock.monotonicMs();
    const answer = await this.numbered(accountId, (requestNo) =>
      this.ports.grant({ requestNo, accountId, minimum, want }),
    );
    if (answer.ok) {
      const { leaseId, granted, ttlMs } = answer.value;
      this.journal(leaseId, accountId);
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

  /** Runs the ask under the account's unanswered number, or a new one; keeps the number when no answer comes. */
  private async numbered<T>(accountId: AccountId, ask: (requestNo: number) => Promise<T>): Promise<T> {
    const requestNo = this.unanswered.get(accountId)?.requestNo ?? this.requestNo + 1;
    this.requestNo = Math.max(this.requestNo, requestNo);
    try {
      const answer = await ask(requestNo);
      this.unanswered.delete(accountId);
      return answer;
    } catch (error) {
      this.unanswered.set(accountId, { requestNo, lostAtMs: this.ports.clock.monotonicMs() });
      throw error;
    }
  }

  /** For an account that does not come back: asks for nothing under the lost number, and closes what that brings to light. */
  private recoverLost(nowMs: number): void {
    for (const [accountId, { lostAtMs }] of this.unanswered) {
      if (nowMs - lostAtMs < askAgainMs || this.queue.has(accountId)) continue;
      const work = async (): Promise<void> => {
        await this.askGrant(accountId, 0n, 0n);
        this.giveBackIdle(accountId);
      };
      // Still no answer, or a frozen account: the number stays, or there was nothing to give back.
      this.inTurn(accountId, work).catch(() => undefined);
      return;
    }
  }

  /** A lease that the disk refuses is given back at once: the closing reaches billing without the disk. */
  private journal(leaseId: LeaseId, accountId: AccountId): void {
    try {
      this.ports.leaseGranted(leaseId, accountId);
    } catch (error) {
      this.ports.leaseClosed(leaseId, accountId);
      throw error;
    }
  }

  /** True when waiting can help: money of this account has just been given back, or was a moment ago. */
  private giveBackIdle(accountId: AccountId): boolean {
    for (const lease of this.book.takeIdle(accountId)) this.close(lease);
    const closedAtMs = this.closedAtMs.get(accountId);
    return closedAtMs !== undefined && this.ports.clock.monotonicMs() - closedAtMs <= closedLatelyMs;
  }

  private close(lease: Lease): void {
    this.ports.leaseClosed(lease.leaseId, lease.accountId);
    // Set anew at the end of the map, which is thereby in the order of time.
    this.closedAtMs.delete(lease.accountId);
    this.closedAtMs.set(lease.accountId, this.ports.clock.monotonicMs());
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
