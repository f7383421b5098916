import type { Db } from "@codex/db";
import { idToUuid, uuidToId, type AccountId, type RequestId } from "@codex/kernel";
import { sql } from "kysely";
import type { PostedUsage, UsagePage, UsageStore } from "../app/ports.ts";
import { fromDbUsageEvent, type UsageRow } from "./mapping.ts";
import type { Tables } from "./schema.ts";
import { usageLineOf, usageLines } from "./usage-lines.ts";

export function createUsageStore(db: Db<Tables>): UsageStore {
  return {
    page: (accountId, limit, before) => readPage(db, accountId, limit, before),
    find: (accountId, requestId) => findUsage(db, accountId, requestId),
  };
}

async function readPage(
  db: Db<Tables>,
  accountId: AccountId,
  limit: number,
  before: RequestId | undefined,
): Promise<UsagePage> {
  // One more than asked for tells whether there is a next page.
  const range = { limit: limit + 1, ...(before === undefined ? {} : { before: idToUuid(before) }) };
  const { rows } = await sql<UsageRow>`select * from ${usageLines(accountId, range)}`.execute(db.kysely);
  const lines = rows.slice(0, limit).map((row) => fromDbUsageEvent(row));
  return { lines, next: rows.length > limit ? (lines.at(-1)?.requestId ?? null) : null };
}

async function findUsage(db: Db<Tables>, accountId: AccountId, requestId: RequestId): Promise<PostedUsage | undefined> {
  const row = await db.kysely
    .selectFrom(usageLineOf(accountId, requestId).as("event"))
    .innerJoin("ingest_batch as batch", "batch.id", "event.batch_id")
    .selectAll("event")
    .select("batch.created_at as posted_at")
    .select((eb) =>
      eb
        .selectFrom("transfer")
        .innerJoin("balance", (join) =>
          join.on((on) =>
            on.or([
              on("transfer.debit_account_id", "=", on.ref("balance.bonus_account_id")),
              on("transfer.debit_account_id", "=", on.ref("balance.paid_account_id")),
            ]),
          ),
        )
        .select("transfer.id")
        .whereRef("balance.account_id", "=", "event.account_id")
        .whereRef("transfer.batch_id", "=", "event.batch_id")
        .orderBy((order) => order("transfer.debit_account_id", "=", order.ref("balance.bonus_account_id")), "desc")
        .limit(1)
        .as("transfer_id"),
    )
    .executeTakeFirst();
  if (!row) return undefined;
  return {
    line: fromDbUsageEvent(row),
    priceVersion: uuidToId("prc", row.price_version),
    priceGroup: row.price_group,
    hold: row.hold,
    transferId: row.transfer_id === null || row.charged === 0n ? null : uuidToId("trf", row.transfer_id),
    postedAt: row.posted_at,
  };
}
