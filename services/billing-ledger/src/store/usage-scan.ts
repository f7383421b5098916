import type { Db } from "@codex/db";
import { uuidToId } from "@codex/kernel";
import { sql } from "kysely";
import type { BookedUsage, UsageScan } from "../app/preview-prices.ts";
import { imagesOf, toCount, type UsageRow } from "./mapping.ts";
import type { Tables } from "./schema.ts";
import { bookedLateMsMax, clockAheadMsMax } from "./usage-lines.ts";

const pageRows = 2_000;
/** Of one page: a cursor that finds nothing for this long gives the connection back. */
const pageMsMax = 15_000;

type ScanRow = Pick<
  UsageRow,
  | "account_id"
  | "model"
  | "started_at"
  | "tokens_input"
  | "tokens_cached_input"
  | "tokens_cache_write"
  | "tokens_cache_write_1h"
  | "tokens_output"
  | "tokens_reasoning"
  | "image_count"
  | "image_variant"
  | "audio_ms"
  | "price_group"
  | "hold"
  | "charged"
>;

/** One pass over the usage through a cursor of the database: one read state, memory for one page, whatever the table below is. */
export function createUsageScan(db: Db<Tables>): UsageScan {
  return {
    scan: (range, onPage, signal) =>
      db.transaction(async (trx) => {
        // Nothing is ordered by the time of requests, and batches are in the order of their ids, which an index knows.
        const bookedFrom = new Date(range.from.getTime() - clockAheadMsMax);
        const bookedTo = new Date(range.to.getTime() + bookedLateMsMax);
        await sql`set transaction read only`.execute(trx);
        await sql`select set_config('statement_timeout', ${String(pageMsMax)}, true)`.execute(trx);
        await sql`declare usage_scan no scroll cursor for
          with batch as materialized (
            select id from ingest_batch
            where created_at >= ${bookedFrom}::timestamptz and created_at < ${bookedTo}::timestamptz
          )
          select account_id, model, started_at, tokens_input, tokens_cached_input, tokens_cache_write, tokens_cache_write_1h,
            tokens_output, tokens_reasoning, image_count, image_variant, audio_ms, price_group, hold, charged
          from usage_line
          where started_at >= ${range.from}::timestamptz and started_at < ${range.to}::timestamptz
            and batch_id between (select min(id) from batch) and (select max(id) from batch)`.execute(trx);
        while (!signal.aborted) {
          const { rows } = await sql<ScanRow>`fetch forward ${sql.lit(pageRows)} from usage_scan`.execute(trx);
          if (rows.length > 0 && !onPage(rows.map(toBookedUsage))) return false;
          if (rows.length < pageRows) return true;
        }
        return false;
      }),
  };
}

function toBookedUsage(row: ScanRow): BookedUsage {
  return {
    accountId: uuidToId("acc", row.account_id),
    model: row.model,
    usage: {
      tokens: {
        input: toCount(row.tokens_input),
        cachedInput: toCount(row.tokens_cached_input),
        cacheWrite: toCount(row.tokens_cache_write),
        cacheWrite1h: toCount(row.tokens_cache_write_1h),
        output: toCount(row.tokens_output),
        reasoning: toCount(row.tokens_reasoning),
      },
      images: imagesOf(row),
      audioMs: toCount(row.audio_ms),
      startedAt: row.started_at.toISOString(),
      priceGroup: row.price_group,
    },
    hold: row.hold,
    charged: row.charged,
  };
}
