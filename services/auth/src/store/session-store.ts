import type { Db } from "@codex/db";
import { idToUuid, uuidToId, type AccountId, type SessionId } from "@codex/kernel";
import type { Selectable, Transaction } from "kysely";
import type { NewSession, SessionStore, StoredSession } from "../app/ports.ts";
import type { SessionRole } from "../domain/session-rules.ts";
import type { AuthTables, SessionTable } from "./schema.ts";

const listedMax = 100;
/** The longest any session lives; older rows cannot be alive. */
const lifeMaxMs = 31 * 86_400_000;

export function sessionStore(db: Db<AuthTables>): SessionStore {
  const insert = async (on: Pick<Transaction<AuthTables>, "insertInto">, session: NewSession): Promise<void> => {
    const { sessionId, accountId, factor, now } = session;
    await on
      .insertInto("session")
      .values({
        id: idToUuid(sessionId),
        account_id: idToUuid(accountId),
        created_at: now,
        last_seen_at: now,
        ended_at: null,
        factor,
        authenticated_at: now,
      })
      .execute();
  };
  return {
    create: (session) => insert(db.kysely, session),
    replaceAll: (session) =>
      db.transaction(async (trx) => {
        await endSessions(trx, session.accountId, undefined, session.now);
        await insert(trx, session);
      }),
    async find(sessionId) {
      const row = await joined(db).where("session.id", "=", idToUuid(sessionId)).executeTakeFirst();
      return row && fromDbSession(row);
    },
    async listOf(accountId, now) {
      const rows = await joined(db)
        .where("session.account_id", "=", idToUuid(accountId))
        .where("session.ended_at", "is", null)
        .where("session.created_at", ">", new Date(now.getTime() - lifeMaxMs))
        .orderBy("session.created_at", "desc")
        .limit(listedMax)
        .execute();
      return rows.map(fromDbSession);
    },
    async recentOf(accountId, now) {
      const rows = await joined(db)
        .where("session.account_id", "=", idToUuid(accountId))
        .where("session.created_at", ">", new Date(now.getTime() - lifeMaxMs))
        .orderBy(({ eb }) => eb("session.ended_at", "is not", null))
        .orderBy("session.last_seen_at", "desc")
        .limit(listedMax)
        .execute();
      return rows.map(fromDbSession);
    },
    async seen(sessionId, now) {
      await live(db.kysely, sessionId).set({ last_seen_at: now }).execute();
    },
    async proved(sessionId, now) {
      await live(db.kysely, sessionId).set({ authenticated_at: now }).execute();
    },
    async end(sessionId, now) {
      await live(db.kysely, sessionId).set({ ended_at: now }).execute();
    },
    endOf: (accountId, sessionId, now) => endSessionOf(db.kysely, accountId, sessionId, now),
    endAll: (accountId, except, now) => endSessions(db.kysely, accountId, except, now),
  };
}

/** In the transaction of whatever makes the sessions end; answers how many did. */
export async function endSessions(
  on: Pick<Transaction<AuthTables>, "updateTable">,
  accountId: AccountId,
  except: SessionId | undefined,
  now: Date,
): Promise<number> {
  let query = on
    .updateTable("session")
    .set({ ended_at: now })
    .where("account_id", "=", idToUuid(accountId))
    .where("ended_at", "is", null);
  if (except !== undefined) query = query.where("id", "!=", idToUuid(except));
  return Number((await query.executeTakeFirst()).numUpdatedRows);
}

/** In the transaction of whatever makes the session end; false when there is no such live session of the account. */
export async function endSessionOf(
  on: Pick<Transaction<AuthTables>, "updateTable">,
  accountId: AccountId,
  sessionId: SessionId,
  now: Date,
): Promise<boolean> {
  const ended = await live(on, sessionId)
    .set({ ended_at: now })
    .where("account_id", "=", idToUuid(accountId))
    .executeTakeFirst();
  return ended.numUpdatedRows > 0n;
}

function live(on: Pick<Transaction<AuthTables>, "updateTable">, sessionId: SessionId) {
  return on.updateTable("session").where("id", "=", idToUuid(sessionId)).where("ended_at", "is", null);
}

function joined(db: Db<AuthTables>) {
  return db.kysely
    .selectFrom("session")
    .innerJoin("account", "account.id", "session.account_id")
    .selectAll("session")
    .select("account.role");
}

function fromDbSession(row: Selectable<SessionTable> & { readonly role: SessionRole }): StoredSession {
  return {
    sessionId: uuidToId("ses", row.id),
    accountId: uuidToId("acc", row.account_id),
    role: row.role,
    factor: row.factor,
    createdAt: row.created_at,
    lastSeenAt: row.last_seen_at,
    authenticatedAt: row.authenticated_at ?? row.created_at,
    endedAt: row.ended_at,
  };
}
