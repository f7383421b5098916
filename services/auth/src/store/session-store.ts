import type { Db } from "@codex/db";
import { idToUuid, uuidToId } from "@codex/kernel";
import type { SessionStore } from "../app/ports.ts";
import type { AuthTables } from "./schema.ts";

export function sessionStore(db: Db<AuthTables>): SessionStore {
  return {
    async create(sessionId, accountId, now) {
      await db.kysely
        .insertInto("session")
        .values({
          id: idToUuid(sessionId),
          account_id: idToUuid(accountId),
          created_at: now,
          last_seen_at: now,
          ended_at: null,
        })
        .execute();
    },
    async find(sessionId) {
      const row = await db.kysely
        .selectFrom("session")
        .innerJoin("account", "account.id", "session.account_id")
        .select([
          "session.id",
          "session.account_id",
          "account.role",
          "session.created_at",
          "session.last_seen_at",
          "session.ended_at",
        ])
        .where("session.id", "=", idToUuid(sessionId))
        .executeTakeFirst();
      if (!row) return undefined;
      return {
        sessionId: uuidToId("ses", row.id),
        accountId: uuidToId("acc", row.account_id),
        role: row.role,
        createdAt: row.created_at,
        lastSeenAt: row.last_seen_at,
        endedAt: row.ended_at,
      };
    },
    async seen(sessionId, now) {
      await db.kysely
        .updateTable("session")
        .set({ last_seen_at: now })
        .where("id", "=", idToUuid(sessionId))
        .where("ended_at", "is", null)
        .execute();
    },
    async end(sessionId, now) {
      await db.kysely
        .updateTable("session")
        .set({ ended_at: now })
        .where("id", "=", idToUuid(sessionId))
        .where("ended_at", "is", null)
        .execute();
    },
  };
}
