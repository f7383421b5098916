import type { Db } from "@codex/db";
import { sql } from "kysely";
import type { VerdictStore } from "../app/verdict-ports.ts";
import type { Tables } from "./schema.ts";

const pruneMax = 10_000;

export function createVerdictStore(db: Db<Tables>): VerdictStore {
  return {
    note: async (eventId, verdict) => {
      await sql`
        insert into command_verdict as v (event_id, verdict) values (${eventId}, ${verdict})
        on conflict (event_id) do update set verdict = excluded.verdict, at = now()
          where v.verdict <> 'applied'`.execute(db.kysely);
    },
    of: async (eventIds) => {
      const rows = await db.kysely
        .selectFrom("command_verdict")
        .select(["event_id", "verdict"])
        .where("event_id", "in", [...eventIds])
        .where(sql<boolean>`verdict <> 'waiting' or at > now() - interval '2 minutes'`)
        .execute();
      return new Map(rows.map((row) => [row.event_id, row.verdict]));
    },
    prune: async () => {
      const { numAffectedRows } = await sql`
        delete from command_verdict where event_id in (
          select event_id from command_verdict where at < now() - interval '90 days' limit ${pruneMax}
        )`.execute(db.kysely);
      return Number(numAffectedRows ?? 0n);
    },
  };
}
