import type { AccountId } from "@codex/kernel";
import { sql, type Transaction } from "kysely";
import type { KeyTables } from "./schema.ts";

/** Until the end of the transaction: serialises what is bounded for one account, so that the bound holds under concurrency. */
export async function lockAccount(trx: Transaction<KeyTables>, accountId: AccountId): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${accountId}, 0))`.execute(trx);
}
