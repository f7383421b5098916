import type { Db } from "@codex/db";
import { uuidToId, type AccountId, type RequestId } from "@codex/kernel";
import { sql } from "kysely";
import type { ReceiptKeyStore, ReceiptTransfers, StoredReceiptKey } from "../app/receipt-ports.ts";
import type { Tables } from "./schema.ts";
import { usageLineOf } from "./usage-lines.ts";

export function createReceiptTransfers(db: Db<Tables>): ReceiptTransfers {
  return {
    ofRequest: async (accountId: AccountId, requestId: RequestId) => {
      const { rows } = await sql<{ id: string; bucket: "bonus" | "paid" }>`
        select t.id, case a.kind when 'customer_bonus' then 'bonus' else 'paid' end as bucket
        from ${usageLineOf(accountId, requestId)} u
        join transfer t on t.batch_id = u.batch_id
        join ledger_account a on a.id = t.debit_account_id and a.account_id = u.account_id
        order by bucket limit 2`.execute(db.kysely);
      return rows.map((row) => ({ transferId: uuidToId("trf", row.id), bucket: row.bucket }));
    },
  };
}

interface KeyRow {
  kid: string;
  public_x: string;
  sealed_private: string;
  created_at: Date;
}

function fromDbKey(row: KeyRow): StoredReceiptKey {
  return { kid: row.kid, x: row.public_x, sealed: row.sealed_private, createdAt: row.created_at };
}

export function createReceiptKeyStore(db: Db<Tables>): ReceiptKeyStore {
  const current = sql<KeyRow>`
    select kid, public_x, sealed_private, created_at from receipt_key where sealed_private is not null`;
  return {
    current: async () => {
      const row = (await current.execute(db.kysely)).rows[0];
      return row && fromDbKey(row);
    },
    replace: (expected, next) =>
      db.transaction(async (trx) => {
        await sql`select pg_advisory_xact_lock(hashtextextended('billing.receipt_key', 0))`.execute(trx);
        const found = (await current.execute(trx)).rows[0];
        // Another replica was faster.
        if (found && found.kid !== expected) return fromDbKey(found);
        await sql`
          update receipt_key set sealed_private = null, retired_at = now() where sealed_private is not null`.execute(
          trx,
        );
        const { rows } = await sql<KeyRow>`
          insert into receipt_key (kid, public_x, sealed_private) values (${next.kid}, ${next.x}, ${next.sealed})
          returning kid, public_x, sealed_private, created_at`.execute(trx);
        const made = rows[0];
        if (!made) throw new Error("the receipt key was not stored");
        return fromDbKey(made);
      }),
    published: async () => {
      const { rows } = await sql<{ kid: string; public_x: string }>`
        select kid, public_x from receipt_key order by created_at desc, kid`.execute(db.kysely);
      return rows.map((row) => ({ kid: row.kid, x: row.public_x }));
    },
  };
}
