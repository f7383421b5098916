import type { Db } from "@codex/db";
import { idToUuid, type AccountId, type MicroTokens } from "@codex/kernel";
import { sql } from "kysely";
import type { Tables } from "./schema.ts";

/** `credited − spent` is the balance, paid and bonus, of the same moment. */
export interface AccountTotals {
  /** All that came in, less what was taken back: expired bonuses, adjustments, returned payments. */
  readonly credited: MicroTokens;
  /** All that was charged for requests, less what was given back of it. */
  readonly spent: MicroTokens;
}

/** Not the sum of the charges, of which there is one a batch: what came in is a few rows, and the balance is what is left of it. */
export function readAccountTotals(db: Db<Tables>): (accountId: AccountId) => Promise<AccountTotals> {
  return async (accountId) => {
    const id = idToUuid(accountId);
    const { rows } = await sql<{ moved: bigint; refunded: bigint; balance: bigint }>`
      select b.paid + b.bonus as balance,
        (select coalesce(sum(e.amount), 0) from entry e
          where e.batch_id is null and e.ledger_account_id in (b.paid_account_id, b.bonus_account_id))::bigint as moved,
        (select coalesce(sum(r.paid_amount + r.bonus_amount), 0) from usage_refund r
          where r.account_id = b.account_id)::bigint as refunded
      from balance b where b.account_id = ${id}::uuid`.execute(db.kysely);
    const row = rows[0];
    if (row === undefined) return { credited: 0n, spent: 0n };
    const credited = row.moved - row.refunded;
    return { credited, spent: credited - row.balance };
  };
}
