import { idToUuid, type AccountId, type KeyId } from "@codex/kernel";
import { sql, type Transaction } from "kysely";
import { randomUUID } from "node:crypto";
import type { Showing } from "../app/ports.ts";
import { byOwner, recordKeyActs } from "./key-acts.ts";
import { lockAccount } from "./lock-account.ts";
import { fromDbKey } from "./mapping.ts";
import type { KeyTables } from "./schema.ts";

const windowSeconds = 3_600;

/** See KeyStore.takeShowing. What is refused is not counted: a key that is not there shows nothing. */
export async function takeShowing(
  trx: Transaction<KeyTables>,
  accountId: AccountId,
  keyId: KeyId,
  timesMax: number,
): Promise<Showing> {
  await lockAccount(trx, accountId);
  const row = await trx
    .selectFrom("api_key")
    .selectAll()
    .where("id", "=", idToUuid(keyId))
    .where("account_id", "=", idToUuid(accountId))
    .where("status", "=", "active")
    .forShare()
    .executeTakeFirst();
  if (!row) return { ok: false, refusal: "not_found" };
  const { sealed } = fromDbKey(row);
  if (!sealed) return { ok: false, refusal: "not_kept" };
  const { times, waitSeconds } = await trx
    .selectFrom("key_act")
    .select((eb) => [
      eb.fn.countAll<bigint>().as("times"),
      sql<number | null>`ceil(${windowSeconds} - extract(epoch from now() - min(at)))::int`.as("waitSeconds"),
    ])
    .where("account_id", "=", idToUuid(accountId))
    .where("act", "=", "shown")
    .where("at", ">", sql<Date>`now() - make_interval(secs => ${windowSeconds})`)
    .executeTakeFirstOrThrow();
  if (times >= BigInt(timesMax)) {
    return { ok: false, refusal: "too_often", retryAfterSeconds: Math.max(1, waitSeconds ?? windowSeconds) };
  }
  await trx
    .insertInto("key_act")
    .values({ id: randomUUID(), account_id: idToUuid(accountId), key_id: idToUuid(keyId), act: "shown" })
    .execute();
  await recordKeyActs(trx, [byOwner("key_shown", { keyId, accountId })]);
  return { ok: true, sealed };
}
