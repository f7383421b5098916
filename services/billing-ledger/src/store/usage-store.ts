import { defaultPriceGroup } from "@codex/contracts";
import type { Db } from "@codex/db";
import { idToUuid, uuidToId, type AccountId, type RequestId } from "@codex/kernel";
import type { PostedUsage, UsagePage, UsageStore } from "../app/ports.ts";
import { fromDbUsageEvent, type UsageRow } from "./mapping.ts";
import type { Tables } from "./schema.ts";

export function createUsageStore(db: Db<Tables>): UsageStore {
  return {
    page: (accountId, limit, before) => readPage(db, accountId, limit, before),
    find: (accountId, requestId) => findUsage(db, accountId, requestId),
  };
}

/** The where clause has put the LEASE_CLOSE rows aside; the type does not know. */
function usageRow<Row extends { request_id: string | null }>(row: Row): Row & { request_id: string } {
  if (row.request_id === null) throw new Error("a usage row without request id");
  return { ...row, request_id: row.request_id };
}

async function readPage(
  db: Db<Tables>,
  accountId: AccountId,
  limit: number,
  before: RequestId | undefined,
): Promise<UsagePage> {
  let query = db.kysely
    .selectFrom("usage_event")
    .selectAll()
    .where("account_id", "=", idToUuid(accountId))
    .where("request_id", "is not", null)
    .orderBy("request_id", "desc")
    // One more than asked for tells whether there is a next page.
    .limit(limit + 1);
  if (before !== undefined) query = query.where("request_id", "<", idToUuid(before));
  const rows = await query.execute();
  const lines = rows.slice(0, limit).map((row) => fromDbUsageEvent(usageRow(row)));
  return { lines, next: rows.length > limit ? (lines.at(-1)?.requestId ?? null) : null };
}

async function findUsage(db: Db<Tables>, accountId: AccountId, requestId: RequestId): Promise<PostedUsage | undefined> {
  const row = await db.kysely
    .selectFrom("usage_event as event")
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
    .where("event.account_id", "=", idToUuid(accountId))
    .where("event.request_id", "=", idToUuid(requestId))
    .limit(1)
    .executeTakeFirst();
  if (!row) return undefined;
  const event: UsageRow = usageRow(row);
  return {
    line: fromDbUsageEvent(event),
    priceVersion: uuidToId("prc", event.price_version),
    priceGroup: defaultPriceGroup,
    hold: event.hold,
    transferId: row.transfer_id === null || event.charged === 0n ? null : uuidToId("trf", row.transfer_id),
    postedAt: row.posted_at,
  };
}
