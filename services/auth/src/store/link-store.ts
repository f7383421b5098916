import type { Db } from "@codex/db";
import { idToUuid, uuidToId } from "@codex/kernel";
import type { LinkStore } from "../app/ports.ts";
import { hashOfToken, newToken } from "../crypto/token.ts";
import { linkLifeMs } from "../domain/mail.ts";
import type { AuthTables } from "./schema.ts";

/** Wrong passwords beside one token; then it is dead. */
export const linkFailuresMax = 5;

export function linkStore(db: Db<AuthTables>): LinkStore {
  return {
    async issue(accountId, purpose, email, now) {
      const token = newToken();
      const row = {
        account_id: idToUuid(accountId),
        purpose,
        token_hash: hashOfToken(token),
        email,
        failures: 0,
        created_at: now,
        expires_at: new Date(now.getTime() + linkLifeMs[purpose]),
      };
      await db.kysely
        .insertInto("link")
        .values(row)
        .onConflict((on) => on.columns(["account_id", "purpose"]).doUpdateSet(row))
        .execute();
      return token;
    },
    async find(token, purpose, now) {
      const row = await db.kysely
        .selectFrom("link")
        .select(["account_id", "email"])
        .where("token_hash", "=", hashOfToken(token))
        .where("purpose", "=", purpose)
        .where("expires_at", ">", now)
        .where("failures", "<", linkFailuresMax)
        .executeTakeFirst();
      return row && { accountId: uuidToId("acc", row.account_id), email: row.email };
    },
    async take(token, purpose, now) {
      const row = await db.kysely
        .deleteFrom("link")
        .where("token_hash", "=", hashOfToken(token))
        .where("purpose", "=", purpose)
        .where("expires_at", ">", now)
        .returning(["account_id", "email"])
        .executeTakeFirst();
      return row && { accountId: uuidToId("acc", row.account_id), email: row.email };
    },
    async failed(token) {
      await db.kysely
        .updateTable("link")
        .set(({ eb }) => ({ failures: eb("failures", "+", 1) }))
        .where("token_hash", "=", hashOfToken(token))
        .execute();
    },
  };
}
