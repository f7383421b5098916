import type { Db } from "@codex/db";
import { uuidToId } from "@codex/kernel";
import { sql } from "kysely";
import type { ChangedBalance } from "../app/ports.ts";
import { toCount } from "./mapping.ts";
import type { Tables } from "./schema.ts";

/** Rows of `balance_dirty` that one round takes: a row a batch, so many seconds of full load. */
const rowsMax = 5_000;

export interface DirtyBalances {
  /**
   * Takes what batches have changed since the last round, reads the balances as they are now and has at most `limit` of them
   * published, all in one transaction: when `publish` rejects, everything is taken again. What is above the limit stays.
   * Any number of replicas. Answers how many were published.
   */
  publishNewest(limit: number, publish: (balances: readonly ChangedBalance[]) => Promise<void>): Promise<number>;
}

export function createDirtyBalances(db: Db<Tables>): DirtyBalances {
  return {
    publishNewest: (limit, publish) =>
      db.transaction(
        async (trx) => {
          const taken = await sql<{ account_nos: number[] }>`
            delete from balance_dirty where id in (
              select id from balance_dirty order by id limit ${rowsMax} for update skip locked)
            returning account_nos`.execute(trx);
          const accounts = [...new Set(taken.rows.flatMap((row) => row.account_nos))];
          if (accounts.length === 0) return 0;
          const later = accounts.slice(limit);
          if (later.length > 0) {
            await sql`insert into balance_dirty (account_nos) values (${`{${later.join(",")}}`}::integer[])`.execute(
              trx,
            );
          }
          const { rows } = await sql<{
            account_id: string;
            paid: bigint;
            bonus: bigint;
            reserved: bigint;
            version: bigint;
          }>`
            select account_id, paid, bonus, reserved, version from balance
            where account_no = any (${`{${accounts.slice(0, limit).join(",")}}`}::integer[])`.execute(trx);
          await publish(
            rows.map((row) => ({
              accountId: uuidToId("acc", row.account_id),
              paid: row.paid,
              bonus: row.bonus,
              held: row.reserved,
              version: toCount(row.version),
            })),
          );
          return rows.length;
        },
        // The next round is the repetition.
        { attemptsMax: 1 },
      ),
  };
}

/** Sees to it that today and tomorrow have their tables of usage. Idempotent. */
export async function ensureUsageDays(db: Db<Tables>): Promise<void> {
  await sql`select ensure_usage_days()`.execute(db.kysely);
}
