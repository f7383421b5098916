import type { Db } from "@codex/db";
import { idToUuid, uuidToId } from "@codex/kernel";
import type { Selectable } from "kysely";
import type { Link, LinkPurpose, LinkStore } from "../app/ports.ts";
import { hashOfToken, newToken } from "../crypto/token.ts";
import { linkLifeMs } from "../domain/mail.ts";
import { oneTimeRows } from "./one-time-rows.ts";
import type { AuthTables, LinkTable } from "./schema.ts";

export function linkStore(db: Db<AuthTables>): LinkStore {
  const rows = oneTimeRows<Selectable<LinkTable>, LinkPurpose>(db, "link", "token_hash");
  const fromDb = (row: Selectable<LinkTable> | undefined): Link | undefined =>
    row && { accountId: uuidToId("acc", row.account_id), email: row.email };
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
    find: async (token, purpose, now) => fromDb(await rows.find(token, purpose, now)),
    take: async (token, purpose, now) => fromDb(await rows.take(token, purpose, now)),
    failed: (token) => rows.failed(token),
  };
}
