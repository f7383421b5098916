import type { Db } from "@codex/db";
import { idToUuid, type KeyId, type MicroTokens } from "@codex/kernel";
import { sql } from "kysely";
import type { Tables } from "./schema.ts";

/** What a capped key has spent in the UTC day and month of now, and ever. */
export interface KeySpend {
  readonly daily: MicroTokens;
  readonly monthly: MicroTokens;
  readonly total: MicroTokens;
}

export function readKeySpend(db: Db<Tables>): (keyId: KeyId) => Promise<KeySpend> {
  return async (keyId) => {
    const { rows } = await sql<{ period: "day" | "month" | "total"; spent: bigint }>`
      select b.period, b.spent
      from key_budget_windows((now() at time zone 'utc')::date) w
      join key_budget b on b.key_id = ${idToUuid(keyId)} and b.period = w.period and b.starts_on = w.starts_on`.execute(
      db.kysely,
    );
    const of = (period: string): MicroTokens => rows.find((row) => row.period === period)?.spent ?? 0n;
    return { daily: of("day"), monthly: of("month"), total: of("total") };
  };
}
