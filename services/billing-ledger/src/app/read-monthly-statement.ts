import type { AccountId, Clock, MicroTokens } from "@codex/kernel";
import { monthBounds } from "../domain/statement.ts";
import type { KindSum, StatementStore } from "./statement-ports.ts";

export interface BucketBalances {
  readonly paid: MicroTokens;
  readonly bonus: MicroTokens;
}

export interface MonthlyStatement {
  readonly from: Date;
  readonly to: Date;
  readonly final: boolean;
  readonly opening: BucketBalances;
  readonly sums: readonly KindSum[];
  readonly closing: BucketBalances;
}

/** After the end of a month, until every booking that began in it has ended; far above any transaction's time limit. */
const settledAfterMs = 120_000;

/** Opening and closing come from the chain, the sums from the movements between: two ways that must agree. Undefined for a month to come. */
export async function readMonthlyStatement(
  deps: { readonly store: StatementStore; readonly clock: Clock },
  accountId: AccountId,
  month: string,
): Promise<MonthlyStatement | undefined> {
  const { store, clock } = deps;
  const { from, to } = monthBounds(month);
  const nowMs = clock.now().getTime();
  if (from.getTime() > nowMs) return undefined;
  const heads = await store.heads(accountId);
  const [first, last] = [await store.cut(accountId, heads, from), await store.cut(accountId, heads, to)];
  const balanceAt = async (bucket: "paid" | "bonus", version: number): Promise<MicroTokens> =>
    (await store.slice(accountId, bucket, version, version, 1)).headBalance;
  const [paid, bonus] = [
    await store.sums(accountId, "paid", last.paid, first.paid),
    await store.sums(accountId, "bonus", last.bonus, first.bonus),
  ];
  return {
    from,
    to,
    final: nowMs >= to.getTime() + settledAfterMs,
    opening: { paid: await balanceAt("paid", first.paid), bonus: await balanceAt("bonus", first.bonus) },
    sums: [...paid, ...bonus],
    closing: { paid: await balanceAt("paid", last.paid), bonus: await balanceAt("bonus", last.bonus) },
  };
}
