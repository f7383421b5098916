import { defaultPriceGroup, type PricedUsage } from "@codex/contracts";
import type { Db } from "@codex/db";
import { uuidToId } from "@codex/kernel";
import { sql } from "kysely";
import type { BookedUsage, UsageScan } from "../app/preview-prices.ts";
import { toCount } from "./mapping.ts";
import type { Tables } from "./schema.ts";

const pageRows = 2_000;
/** Of one page: a cursor that finds nothing for this long gives the connection back. */
const pageMsMax = 15_000;

interface ScanRow {
  readonly account_id: string;
  readonly model: string;
  readonly started_at: Date;
  readonly tokens_input: bigint;
  readonly tokens_cached_input: bigint;
  readonly tokens_cache_write: bigint;
  readonly tokens_cache_write_1h: bigint | null;
  readonly tokens_output: bigint;
  readonly tokens_reasoning: bigint;
  readonly image_count: bigint | null;
  readonly image_variant: string | null;
  readonly audio_ms: bigint | null;
  readonly price_group: string | null;
  readonly hold: bigint;
  readonly charged: bigint;
}

/** One pass over the usage through a cursor of the database: one read state, memory for one page, whatever the table below is. */
export function createUsageScan(db: Db<Tables>): UsageScan {
  return {
    scan: (range, onPage, signal) =>
      db.transaction(async (trx) => {
        await sql`set transaction read only`.execute(trx);
        await sql`select set_config('statement_timeout', ${String(pageMsMax)}, true)`.execute(trx);
        // Fields of the row as JSON, because records of before the new classes have none of them.
        await sql`declare usage_scan no scroll cursor for
          select account_id, model, started_at, tokens_input, tokens_cached_input, tokens_cache_write, tokens_output,
            tokens_reasoning, hold, charged,
            (to_jsonb(line) ->> 'tokens_cache_write_1h')::bigint as tokens_cache_write_1h,
            (to_jsonb(line) ->> 'image_count')::bigint as image_count,
            to_jsonb(line) ->> 'image_variant' as image_variant,
            (to_jsonb(line) ->> 'audio_ms')::bigint as audio_ms,
            to_jsonb(line) ->> 'price_group' as price_group
          from usage_line line
          where started_at >= ${range.from}::timestamptz and started_at < ${range.to}::timestamptz`.execute(trx);
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
  const images: PricedUsage["images"] =
    row.image_count === null ? null : { count: toCount(row.image_count), variant: row.image_variant ?? "" };
  return {
    accountId: uuidToId("acc", row.account_id),
    model: row.model,
    usage: {
      tokens: {
        input: toCount(row.tokens_input),
        cachedInput: toCount(row.tokens_cached_input),
        cacheWrite: toCount(row.tokens_cache_write),
        cacheWrite1h: toCount(row.tokens_cache_write_1h ?? 0n),
        output: toCount(row.tokens_output),
        reasoning: toCount(row.tokens_reasoning),
      },
      images,
      audioMs: toCount(row.audio_ms ?? 0n),
      startedAt: row.started_at.toISOString(),
      priceGroup: row.price_group ?? defaultPriceGroup,
    },
    hold: row.hold,
    charged: row.charged,
  };
}
