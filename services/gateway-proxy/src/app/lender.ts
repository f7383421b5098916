import { AppError, type AccountId, type MicroTokens } from "@codex/kernel";
import { Burn } from "../domain/burn.ts";
import type { Hold } from "../domain/hold.ts";
import { free, isFinished, LeaseBook, type Lease, type Purse, type Return, type Ticket } from "../domain/lease-book.ts";
import { exhausted, frozen, notInTime } from "./admission-errors.ts";
import { LeaseAsks } from "./lease-asks.ts";
import type { LenderPorts, Payer, Refusal } from "./lease-ports.ts";

/**
 * Admission: a request is let in when a lease of its purse has room for its hold, else billing is asked for one. What is not
 * used goes back: at once when billing recalls it for somebody else, and by itself when it has been idle.
 *
 * Glossary
 *   purse   an account, or one capped key of it; leases, queues and burn are kept by purse
 *   line    those who wait for a lease of one purse. One ask at a time, so that a burst asks once and not a hundred times
 *   renew   an ask in the background while the present lease still has room, so that requests go on finding one
 */

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

type Borrowed = { readonly ok: true; readonly ticket: Ticket } | { readonly ok: false; readonly refusal: Refusal };

interface Line {
  readonly purse: Purse;
  payer: Payer;
  readonly burn: Burn;
  /** The last in the queue; undefined when nobody waits. */
  tail: Promise<unknown> | undefined;
  /** Holds of those who wait, so that one ask can serve all of them. */
  waiting: MicroTokens;
  /** Asks begun so far, and the last refusal with the number of its ask: it answers all who waited when it was asked. */
  asks: number;
  refused: { readonly ask: number; readonly refusal: Refusal } | undefined;
  /** The same of the last ask that billing did not answer: who waits for it must not wait for one of his own after it, and so on. */
  unanswered: { readonly ask: number; readonly error: AppError } | undefined;
  recalls: number;
  renewing: boolean;
  renewNotBeforeMs: number;
  usedAtMs: number;
}

/** What a lease should last for. */
const intervalMs = 60_000;
/** Without a history an ask is for this many requests like the one that asks. */
const requestsAtLeast = 4n;
/** Part of a lease's time after which its successor is asked for. */
const renewAfter = 0.75;
/** After a renewal that brought too little, or a recall, which says that somebody else needs the money more. */
const renewPauseMs = 5_000;
const idleMs = 15_000;
/** A closed lease is freed by billing within this, or billing is not well; until then a recall names it too. */
const closedLatelyMs = 5_000;
const closedLatelyMax = 256;
const returnsMax = 256;
const linesSweepMs = 60_000;

export class Lender {
  private readonly book = new LeaseBook();
  private readonly ports: LenderPorts;
  private readonly asks: LeaseAsks;
  private readonly lines = new Map<Purse, Line>();
  private readonly closedLately = new Map<AccountId, { readonly lease: Lease; readonly atMs: number }[]>();
  private linesSweptAtMs = 0;

  constructor(ports: LenderPorts) {
    this.ports = ports;
    this.asks = new LeaseAsks(ports);
  }

  /**
   * Lets the request in, with `hold`, or with a smaller one that `economies` finds. Throws AppError `credit_balance_exhausted`
   * or `key_limit_exhausted` (quota), `account_frozen` (forbidden) or `service_unavailable`.
   */
  async admit(payer: Payer, hold: Hold, economies: Economies): Promise<Admission> {
    const nowMs = this.ports.clock.monotonicMs();
    const line = this.lineOf(payer, nowMs);
    const ticket = this.book.admit(line.purse, hold.amount, nowMs);
    if (!ticket) return this.admitInTurn(line, hold, economies);
    const { lease } = ticket;
    if (nowMs >= lease.renewAtMs || free(lease) < hold.amount) this.renew(line, hold.amount, nowMs);
    return { ticket, hold };
  }

  /** What the account's newest lease said of its prices; undefined while nobody has said. */
  priceGroupOf(accountId: AccountId): string | undefined {
    return this.book.priceGroupOf(accountId);
  }

  settle(ticket: Ticket, cost: MicroTokens): void {
    const { lease } = ticket;
    const nowMs = this.ports.clock.monotonicMs();
    this.book.settle(ticket, cost);
    this.lines.get(lease.purse)?.burn.spend(cost, nowMs);
    if (lease.running > 0 || !isFinished(lease, nowMs)) return;
    for (const finished of this.book.takeFinishedOf(lease.purse, nowMs)) this.close(finished);
  }

  /**
   * Somebody needs the account's money: gives back what no request uses. False when there are no leases of it here. Resolves
   * when billing has the returns, or cannot be reached; never rejects. A lost return is repeated by the next recall.
   */
  async recall(accountId: AccountId): Promise<boolean> {
    const renewNotBeforeMs = this.ports.clock.monotonicMs() + renewPauseMs;
    for (const purse of [accountId, ...this.book.pursesOf(accountId)]) {
      const line = this.lines.get(purse);
      if (!line) continue;
      line.recalls += 1;
      line.renewNotBeforeMs = renewNotBeforeMs;
    }
    const returns = this.book.giveBack(accountId);
    const closed = this.closedLately.get(accountId) ?? [];
    const isHolder = closed.length > 0 || this.book.has(accountId);
    for (const { lease } of closed) {
      if (lease.reserved > lease.spent) returns.push({ lease, ceiling: lease.spent });
    }
    const returned = this.giveBack(accountId, returns);
    for (const lease of this.book.takeIdle(accountId)) this.close(lease);
    await returned;
    return isHolder;
  }

  /** Closes what is expired, used up or idle, and asks after lost answers. Looks at every account, so it belongs on a timer. */
  sweep(): void {
    const nowMs = this.ports.clock.monotonicMs();
    for (const lease of this.book.takeFinished(nowMs, idleMs)) this.close(lease);
    for (const [accountId, closed] of this.closedLately) {
      const kept = closed.filter(({ atMs }) => nowMs - atMs <= closedLatelyMs);
      if (kept.length === 0) this.closedLately.delete(accountId);
      else if (kept.length < closed.length) this.closedLately.set(accountId, kept);
    }
    this.recoverLost(nowMs);
    if (nowMs - this.linesSweptAtMs < linesSweepMs) return;
    this.linesSweptAtMs = nowMs;
    for (const line of this.lines.values()) {
      if (!line.tail && nowMs - line.usedAtMs > 2 * intervalMs) this.lines.delete(line.purse);
    }
  }

  /** Gives everything back that is not in use; returns how many leases are still in use. */
  closeAll(): number {
    for (const lease of this.book.takeAll()) this.close(lease);
    return this.book.size;
  }

  private lineOf(payer: Payer, nowMs: number): Line {
    const purse = payer.caps === null ? payer.accountId : payer.keyId;
    const line = this.lines.get(purse);
    if (!line) return this.newLine(purse, payer, nowMs);
    line.usedAtMs = nowMs;
    if (payer.caps !== null && payer.version > line.payer.version) {
      line.payer = payer;
      // Granted under other caps: from now on the new ones decide.
      void this.giveBack(
        payer.accountId,
        this.book.giveBack(payer.accountId, (lease) => lease.purse === purse),
      );
    }
    return line;
  }

  private newLine(purse: Purse, payer: Payer, nowMs: number): Line {
    const line: Line = {
      purse,
      payer,
      burn: new Burn(intervalMs),
      tail: undefined,
      waiting: 0n,
      asks: 0,
      refused: undefined,
      unanswered: undefined,
      recalls: 0,
      renewing: false,
      renewNotBeforeMs: 0,
      usedAtMs: nowMs,
    };
    this.lines.set(purse, line);
    return line;
  }

  private async inTurn<T>(line: Line, work: () => Promise<T>): Promise<T> {
    const before = line.tail ?? Promise.resolve();
    const turn = before.then(work, work);
    line.tail = turn;
    try {
      return await turn;
    } finally {
      if (line.tail === turn) line.tail = undefined;
    }
  }

  private async admitInTurn(line: Line, hold: Hold, economies: Economies): Promise<Admission> {
    const asksBefore = line.asks;
    line.waiting += hold.amount;
    let waits = true;
    const leave = (): void => {
      if (waits) line.waiting -= hold.amount;
      waits = false;
    };
    try {
      return await this.inTurn(line, () => this.admitByGrant(line, hold, economies, asksBefore, leave));
    } finally {
      leave();
    }
  }

  private async admitByGrant(
    line: Line,
    hold: Hold,
    economies: Economies,
    asksBefore: number,
    leave: () => void,
  ): Promise<Admission> {
    const ticket = this.book.admit(line.purse, hold.amount, this.ports.clock.monotonicMs());
    if (ticket) return { ticket, hold };
    if (line.unanswered && line.unanswered.ask > asksBefore) throw line.unanswered.error;
    let refusal = this.answeredWhileWaiting(line, hold.amount, asksBefore);
    if (!refusal) {
      const first = await this.borrow(line, hold.amount, this.wanted(line, hold.amount));
      if (first.ok) return { ticket: first.ticket, hold };
      refusal = first.refusal;
    }
    leave();
    const tighter = await economies.tighten();
    const fits = tighter && tighter.amount <= refusal.available;
    const smaller = fits ? tighter : economies.shorten(refusal.available);
    if (!smaller) throw exhausted((tighter ?? hold).amount, refusal);
    const last = await this.borrow(line, smaller.amount, smaller.amount);
    if (last.ok) return { ticket: last.ticket, hold: smaller };
    throw exhausted(smaller.amount, last.refusal);
  }

  /** A refusal that was asked for after this request had come is the answer to it as well, if it needs no less. */
  private answeredWhileWaiting(line: Line, amount: MicroTokens, asksBefore: number): Refusal | undefined {
    const { refused } = line;
    return refused && refused.ask > asksBefore && refused.refusal.available < amount ? refused.refusal : undefined;
  }

  private wanted(line: Line, amount: MicroTokens): MicroTokens {
    const least = line.waiting > amount * requestsAtLeast ? line.waiting : amount * requestsAtLeast;
    return line.burn.want(this.ports.clock.monotonicMs(), least);
  }

  /** Asks for a lease and admits on it. A lost ask that comes to light may be too small: then once more. */
  private async borrow(line: Line, amount: MicroTokens, want: MicroTokens): Promise<Borrowed> {
    const asksMax = this.asks.isUnanswered(line.purse) ? 2 : 1;
    for (let ask = 1; ask <= asksMax; ask += 1) {
      const borrowed = await this.askOnce(line, amount, want, amount);
      if (borrowed) return borrowed;
    }
    throw notInTime();
  }

  /**
   * One ask. The lease enters the book and the request is admitted on it in the same step, so that neither a recall nor
   * another request can take its room in between. Undefined = there is a lease, and no room on it.
   */
  private async askOnce(
    line: Line,
    minimum: MicroTokens,
    want: MicroTokens,
    admit: MicroTokens | undefined,
  ): Promise<Borrowed | undefined> {
    line.asks += 1;
    const ask = line.asks;
    const asked = await this.asks.ask(line.purse, line.payer, minimum, want).catch((error: unknown) => {
      if (error instanceof AppError && error.kind === "unavailable") line.unanswered = { ask, error };
      throw error;
    });
    line.unanswered = undefined;
    if (asked.kind === "frozen") throw frozen();
    if (asked.kind === "refused") {
      line.refused = { ask, refusal: asked.refusal };
      return { ok: false, refusal: asked.refusal };
    }
    line.refused = undefined;
    const { leaseId, granted, ttlMs, priceGroup } = asked.grant;
    const nowMs = this.ports.clock.monotonicMs();
    this.book.add(
      {
        leaseId,
        accountId: line.payer.accountId,
        purse: line.purse,
        priceGroup,
        granted,
        expiresAtMs: asked.askedAtMs + ttlMs,
        renewAtMs: asked.askedAtMs + ttlMs * renewAfter,
      },
      nowMs,
    );
    const ticket = admit === undefined ? undefined : this.book.admit(line.purse, admit, nowMs);
    return ticket && { ok: true, ticket };
  }

  /** At most one a purse. Asks for whatever there is (the minimum is 0), so it never makes billing recall. */
  private renew(line: Line, hold: MicroTokens, nowMs: number): void {
    if (line.renewing || nowMs < line.renewNotBeforeMs || this.book.hasSuccessor(line.purse, hold, nowMs)) return;
    line.renewing = true;
    const work = async (): Promise<void> => {
      const before = this.ports.clock.monotonicMs();
      if (this.book.hasSuccessor(line.purse, hold, before) || before < line.renewNotBeforeMs) return;
      line.renewNotBeforeMs = before + renewPauseMs;
      const { recalls } = line;
      await this.askOnce(line, 0n, this.wanted(line, hold), undefined);
      // The recall came while the answer was on its way, and did not find this lease.
      if (line.recalls > recalls) await this.recall(line.payer.accountId);
      else if (this.book.hasSuccessor(line.purse, hold, this.ports.clock.monotonicMs())) line.renewNotBeforeMs = 0;
    };
    // A renewal that fails costs nothing: the next request that finds no room asks, and gets the error.
    this.inTurn(line, work)
      .catch(() => undefined)
      .finally(() => {
        line.renewing = false;
      });
  }

  /** For a purse that does not come back: asks for nothing under the lost number, and closes what that brings to light. */
  private recoverLost(nowMs: number): void {
    const lost = this.asks.lostSince(nowMs, (purse) => this.lines.get(purse)?.tail !== undefined);
    if (!lost) return;
    const line = this.lines.get(lost.purse) ?? this.newLine(lost.purse, lost.payer, nowMs);
    const work = async (): Promise<void> => {
      await this.askOnce(line, 0n, 0n, undefined);
      for (const lease of this.book.takeIdle(lost.payer.accountId)) this.close(lease);
    };
    // Still no answer, or a frozen account: the number stays, or there was nothing to give back.
    this.inTurn(line, work).catch(() => undefined);
  }

  private async giveBack(accountId: AccountId, returns: readonly Return[]): Promise<void> {
    const parts = Array.from({ length: Math.ceil(returns.length / returnsMax) }, (_none, part) => {
      const some = returns.slice(part * returnsMax, (part + 1) * returnsMax);
      const leases = some.map(({ lease, ceiling }) => ({ leaseId: lease.leaseId, ceiling }));
      return this.ports.giveBack(accountId, leases).then(
        () => {
          for (const { lease, ceiling } of some) if (ceiling < lease.reserved) lease.reserved = ceiling;
        },
        // Billing still reserves it; the next recall, or the close, brings it back.
        () => undefined,
      );
    });
    await Promise.all(parts);
  }

  private close(lease: Lease): void {
    const { leaseId, accountId, reserved, spent } = lease;
    this.ports.leaseClosed(leaseId, accountId);
    if (reserved <= spent) return;
    const closed = this.closedLately.get(accountId) ?? [];
    closed.push({ lease, atMs: this.ports.clock.monotonicMs() });
    this.closedLately.set(accountId, closed.slice(-closedLatelyMax));
  }
}
