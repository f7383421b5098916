import type { AccountId } from "@codex/kernel";
import { mergeStatement, type Position, type StatementLine } from "../domain/statement.ts";
import type { StatementStore } from "./statement-ports.ts";

export interface StatementAsk {
  readonly from: Date | undefined;
  readonly to: Date | undefined;
  readonly limit: number;
  /** Where the page before ended. */
  readonly after: Position | undefined;
}

export interface StatementPage {
  readonly lines: readonly StatementLine[];
  readonly next: Position | null;
}

/** One page, newest first. `bad_cursor`: the position is beyond what the account has. */
export async function readStatement(
  store: StatementStore,
  accountId: AccountId,
  ask: StatementAsk,
): Promise<StatementPage | "bad_cursor"> {
  const heads = await store.heads(accountId);
  const { after } = ask;
  if (after && (after.paid > heads.paid || after.bonus > heads.bonus)) return "bad_cursor";
  const head = after ?? (ask.to === undefined ? heads : await store.cut(accountId, heads, ask.to));
  const floor = ask.from === undefined ? { paid: 0, bonus: 0 } : await store.cut(accountId, heads, ask.from);
  const [paid, bonus] = await Promise.all([
    store.slice(accountId, "paid", head.paid, floor.paid, ask.limit + 1),
    store.slice(accountId, "bonus", head.bonus, floor.bonus, ask.limit + 1),
  ]);
  return mergeStatement({ paid, bonus }, head, ask.limit);
}
