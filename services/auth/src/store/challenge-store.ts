import type { Db } from "@codex/db";
import { idToUuid, uuidToId } from "@codex/kernel";
import type { Challenge, ChallengeStore } from "../app/factor-ports.ts";
import { hashOfToken, newToken } from "../crypto/token.ts";
import type { AuthTables } from "./schema.ts";

const lifeMs = 5 * 60_000;
const failuresMax = 5;

export function challengeStore(db: Db<AuthTables>): ChallengeStore {
  const fromDb = (row: { account_id: string | null; value: string } | undefined): Challenge | undefined =>
    row && { accountId: row.account_id === null ? undefined : uuidToId("acc", row.account_id), value: row.value };
  return {
    async put(purpose, { accountId, value }, now) {
      const id = newToken();
      await db.kysely
        .insertInto("challenge")
        .values({
          id_hash: hashOfToken(id),
          purpose,
          account_id: accountId === undefined ? null : idToUuid(accountId),
          value,
          failures: 0,
          expires_at: new Date(now.getTime() + lifeMs),
        })
        .execute();
      return id;
    },
    async find(id, purpose, now) {
      const row = await db.kysely
        .selectFrom("challenge")
        .select(["account_id", "value"])
        .where("id_hash", "=", hashOfToken(id))
        .where("purpose", "=", purpose)
        .where("expires_at", ">", now)
        .where("failures", "<", failuresMax)
        .executeTakeFirst();
      return fromDb(row);
    },
    async take(id, purpose, now) {
      const row = await db.kysely
        .deleteFrom("challenge")
        .where("id_hash", "=", hashOfToken(id))
        .where("purpose", "=", purpose)
        .where("expires_at", ">", now)
        .where("failures", "<", failuresMax)
        .returning(["account_id", "value"])
        .executeTakeFirst();
      return fromDb(row);
    },
    async failed(id) {
      await db.kysely
        .updateTable("challenge")
        .set(({ eb }) => ({ failures: eb("failures", "+", 1) }))
        .where("id_hash", "=", hashOfToken(id))
        .execute();
    },
  };
}
