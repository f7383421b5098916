import { usagePartitionOf } from "@codex/contracts";
import { insertOutbox, type Db, type OutboxMessage } from "@codex/db";
import { idToUuid, type AccountId } from "@codex/kernel";
import { sql } from "kysely";
import type { ChangedBalance, Credit, CreditOutcome, LedgerStore } from "../app/ports.ts";
import { toCount } from "./mapping.ts";
import type { Tables } from "./schema.ts";

/** How a changed balance becomes an outbox row; given by the bus side, which knows the envelope. */
export type EncodeBalanceChanged = (balance: ChangedBalance) => OutboxMessage;

interface CreditRow {
  outcome: CreditOutcome;
  paid: bigint | null;
  bonus: bigint | null;
  reserved: bigint | null;
  version: bigint | null;
}

export function createLedgerStore(db: Db<Tables>, encode: EncodeBalanceChanged): LedgerStore {
  return {
    balance: (accountId) => readBalance(db, accountId),
    openEpoch: async (workerId) => {
      const { rows } = await sql<{ epoch: bigint }>`select open_epoch(${workerId}) as epoch`.execute(db.kysely);
      const row = rows[0];
      if (!row) throw new Error("open_epoch answered nothing");
      return toCount(row.epoch);
    },
    watermarks: async (epoch) => {
      const rows = await db.kysely
        .selectFrom("gateway_cursor")
        .select(["partition", "contiguous"])
        .where("epoch", "=", BigInt(epoch))
        .orderBy("partition")
        .execute();
      return rows.map((row) => ({ partition: row.partition, contiguous: toCount(row.contiguous) }));
    },
    credit: (credit) => creditAccount(db, encode, credit),
  };
}

async function readBalance(db: Db<Tables>, accountId: AccountId): ReturnType<LedgerStore["balance"]> {
  const row = await db.kysely
    .selectFrom("balance")
    .select(["paid", "bonus", "reserved", "version", "updated_at"])
    .where("account_id", "=", idToUuid(accountId))
    .executeTakeFirst();
  if (!row) return undefined;
  return {
    paid: row.paid,
    bonus: row.bonus,
    held: row.reserved,
    version: toCount(row.version),
    updatedAt: row.updated_at,
  };
}

async function creditAccount(db: Db<Tables>, encode: EncodeBalanceChanged, credit: Credit): Promise<CreditOutcome> {
  return db.transaction(async (trx) => {
    const input = sql`${credit.key}, ${Buffer.from(credit.inputHash)}::bytea, ${idToUuid(credit.transferId)}::uuid,
        ${idToUuid(credit.accountId)}::uuid, ${credit.bucket}, ${credit.fundedBy},
        ${usagePartitionOf(credit.accountId)}::smallint, ${credit.amount}::bigint, ${credit.reason}`;
    const call =
      credit.expiresAt === null
        ? sql`credit_account(${input})`
        : sql`credit_expiring(${input}, ${credit.expiresAt}::timestamptz)`;
    const { rows } = await sql<CreditRow>`select outcome, paid, bonus, reserved, version from ${call}`.execute(trx);
    const row = rows[0];
    if (!row) throw new Error("credit_account answered nothing");
    if (row.outcome === "posted") {
      const balance = {
        paid: row.paid ?? 0n,
        bonus: row.bonus ?? 0n,
        held: row.reserved ?? 0n,
        version: toCount(row.version ?? 0n),
      };
      await insertOutbox(trx, [encode({ accountId: credit.accountId, ...balance })]);
    }
    return row.outcome;
  });
}
