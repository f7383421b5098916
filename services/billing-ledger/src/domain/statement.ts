import type { Bucket, MovementKind } from "@codex/contracts";
import type { MicroTokens, TransferId } from "@codex/kernel";

/**
 * Glossary
 *   chain    the entries of one bucket, numbered from 1 without gaps; each has the balance after it
 *   slice    the newest part of a chain that a page may need, newest first, from `head` down
 *   position how far a reader has come down both chains: the versions of the newest movements not yet shown
 */

export interface Movement {
  readonly bucket: Bucket;
  /** Number within the chain. */
  readonly version: number;
  readonly transferId: TransferId;
  readonly at: Date;
  readonly kind: MovementKind;
  /** Signed; not zero. */
  readonly amount: MicroTokens;
  readonly balanceAfter: MicroTokens;
  readonly reason: string | null;
  readonly usageCount: number | null;
}

export interface ChainSlice {
  /** Versions head, head − 1, …; one more than the page's lines, unless the period has no more. */
  readonly movements: readonly Movement[];
  /** Balance of the bucket after version `head`. */
  readonly headBalance: MicroTokens;
}

export interface Position {
  readonly paid: number;
  readonly bonus: number;
}

export interface StatementLine extends Movement {
  readonly totalBalance: MicroTokens;
}

/**
 * One page out of both chains, newest first. Bookings that overlap may carry times in another order than their versions; the
 * versions win within a bucket, so balances never jump, and the position makes the next page go on exactly there.
 */
export function mergeStatement(
  slices: { readonly paid: ChainSlice; readonly bonus: ChainSlice },
  head: Position,
  limit: number,
): { readonly lines: readonly StatementLine[]; readonly next: Position | null } {
  const lines: StatementLine[] = [];
  let paidTaken = 0;
  let bonusTaken = 0;
  for (;;) {
    const paid = slices.paid.movements[paidTaken];
    const bonus = slices.bonus.movements[bonusTaken];
    const newest = newerOf(paid, bonus);
    if (!newest) return { lines, next: null };
    if (lines.length === limit) {
      return { lines, next: { paid: head.paid - paidTaken, bonus: head.bonus - bonusTaken } };
    }
    const totalBalance = balanceAt(slices.paid, paidTaken) + balanceAt(slices.bonus, bonusTaken);
    lines.push({ ...newest, totalBalance });
    if (newest.bucket === "paid") paidTaken += 1;
    else bonusTaken += 1;
  }
}

/** Of one batch, and of one instant, the paid movement is the newer: bonus is spent first. */
function newerOf(paid: Movement | undefined, bonus: Movement | undefined): Movement | undefined {
  if (!paid || !bonus) return paid ?? bonus;
  return paid.at.getTime() >= bonus.at.getTime() ? paid : bonus;
}

/** Balance of a bucket once the `taken` newest movements of its slice are undone. */
function balanceAt(slice: ChainSlice, taken: number): MicroTokens {
  const next = slice.movements[taken];
  if (next) return next.balanceAfter;
  const last = slice.movements[taken - 1];
  return last ? last.balanceAfter - last.amount : slice.headBalance;
}

/** "2026-11" → its first instant and the first of the next month, UTC. The form is checked by the caller. */
export function monthBounds(month: string): { readonly from: Date; readonly to: Date } {
  const [year = 0, number = 1] = month.split("-").map((part) => Number.parseInt(part, 10));
  return { from: new Date(Date.UTC(year, number - 1, 1)), to: new Date(Date.UTC(year, number, 1)) };
}
