import { insertOutbox, type Db } from "@codex/db";
import { idToUuid, uuidToId } from "@codex/kernel";
import { sql } from "kysely";
import type { BonusStore } from "../app/expire-bonuses.ts";
import type { EncodeBalanceChanged } from "./ledger-store.ts";
import { fromDbBalanceJson, type BalanceJson } from "./money-json.ts";
import type { Tables } from "./schema.ts";

export function createBonusStore(db: Db<Tables>, encode: EncodeBalanceChanged): BonusStore {
  return {
    running: async (accountId, limit) => {
      const { rows } = await sql<{ transfer_id: string; amount: bigint; remaining: bigint; expires_at: Date }>`
        select * from (
          select e.transfer_id, e.amount, bonus_remainder(e, b) as remaining, e.expires_at
          from bonus_expiry e join balance b on b.account_id = e.account_id
          where e.account_id = ${idToUuid(accountId)} and e.state = 'running'
        ) r where r.remaining > 0 order by r.expires_at, r.transfer_id limit ${limit}`.execute(db.kysely);
      return rows.map((row) => ({
        transferId: uuidToId("trf", row.transfer_id),
        amount: row.amount,
        remaining: row.remaining,
        expiresAt: row.expires_at,
      }));
    },
    expire: (limit) =>
      db.transaction(async (trx) => {
        const { rows } = await sql<{ balances: readonly (BalanceJson & { account_id: string })[] }>`
          select expire_bonuses(${limit}::integer) as balances`.execute(trx);
        const balances = rows[0]?.balances ?? [];
        await insertOutbox(
          trx,
          balances.map((balance) => encode(fromDbBalanceJson(uuidToId("acc", balance.account_id), balance))),
        );
        return balances.length;
      }),
  };
}
