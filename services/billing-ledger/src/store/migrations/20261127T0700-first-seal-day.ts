import { ledgerSeal } from "./20261125T1610-ledger-seal.ts";
import { changed, functionIn } from "./changed.ts";

/**
 * Until the first day is sealed, the first day is looked for each minute, and it was looked for in everything that had been
 * written. Ids are in the order of time but for transactions that run beside each other, which are few among the first.
 */
export const firstSealDay = changed(functionIn(ledgerSeal, "next_seal_day"), [
  ["create function next_seal_day(", "create or replace function next_seal_day("],
  [
    "select min(created_at) as at from transfer union all select min(created_at) from ingest_batch",
    `(select created_at as at from transfer order by id limit 1000)
      union all (select created_at from ingest_batch order by id limit 1000)`,
  ],
]);
