import type { Db } from "@codex/db";
import { idToUuid, newId } from "@codex/kernel";
import { sql, type Selectable, type Transaction } from "kysely";
import type { ActDraft } from "../app/factor-ports.ts";
import { chainStart, firstBroken, hashOfAct, type StoredAct } from "../crypto/act-chain.ts";
import type { AccountActTable, AuthTables } from "./schema.ts";

/** Adds a line, in the transaction of what it tells about: either both are there or neither. One writer at a time. */
export async function recordAct(trx: Transaction<AuthTables>, draft: ActDraft, now: Date): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('auth.account_act', 0))`.execute(trx);
  const last = await trx
    .selectFrom("account_act")
    .select(["seq", "hash"])
    .orderBy("seq", "desc")
    .limit(1)
    .executeTakeFirst();
  const previous = last?.hash ?? chainStart;
  const act = {
    seq: (last?.seq ?? 0n) + 1n,
    id: idToUuid(newId("act")),
    actorId: draft.actorId === null ? null : idToUuid(draft.actorId),
    action: draft.action,
    accountId: draft.accountId === null ? null : idToUuid(draft.accountId),
    reason: draft.reason,
    at: now,
  };
  await trx
    .insertInto("account_act")
    .values({
      seq: act.seq,
      id: act.id,
      actor_id: act.actorId,
      action: act.action,
      account_id: act.accountId,
      reason: act.reason,
      at: act.at,
      previous_hash: previous,
      hash: hashOfAct(previous, act),
    })
    .execute();
}

export function fromDbAct(row: Selectable<AccountActTable>): StoredAct {
  return {
    seq: row.seq,
    id: row.id,
    actorId: row.actor_id,
    action: row.action,
    accountId: row.account_id,
    reason: row.reason,
    at: row.at,
    previousHash: row.previous_hash,
    hash: row.hash,
  };
}

const pageMax = 1_000n;

/** Reads the whole log from its beginning: the first line that is not as it was written, or how many there are. */
export async function verifyActs(
  db: Db<AuthTables>,
): Promise<{ readonly count: bigint; readonly broken: bigint | undefined }> {
  const acts: StoredAct[] = [];
  for (let after = 0n; ; after += pageMax) {
    const rows = await db.kysely
      .selectFrom("account_act")
      .selectAll()
      .where("seq", ">", after)
      .where("seq", "<=", after + pageMax)
      .orderBy("seq")
      .execute();
    acts.push(...rows.map(fromDbAct));
    const { last } = await db.kysely
      .selectFrom("account_act")
      .select(({ fn }) => fn.max("seq").as("last"))
      .executeTakeFirstOrThrow();
    // `max` of no rows is null, whatever its type says.
    if (after + pageMax >= ((last as bigint | null) ?? 0n)) break;
  }
  return { count: BigInt(acts.length), broken: firstBroken(acts) };
}
