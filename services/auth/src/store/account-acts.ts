import type { Bus } from "@codex/bus";
import { accountBlocked, type AccountAction } from "@codex/contracts";
import { insertOutbox, listActs, type Db } from "@codex/db";
import { idToUuid, newId, parseId, uuidToId, type AccountId } from "@codex/kernel";
import { sql, type Transaction } from "kysely";
import type { AccountActs, ActDraft, OperatedAccount } from "../app/factor-ports.ts";
import { hashOfToken } from "../crypto/token.ts";
import { sessionLife, type SessionLife } from "../domain/session-rules.ts";
import { recordAct } from "./act-log.ts";
import { insertMails } from "./mail-store.ts";
import type { AuthTables } from "./schema.ts";
import { endSessionOf, endSessions } from "./session-store.ts";

/** What operators do, each with its line in the audit log. */
export function accountActs(db: Db<AuthTables>, encode: Bus["encode"]): AccountActs {
  return { ...acting(db, encode), ...reading(db) };
}

type Acting = Pick<
  AccountActs,
  "record" | "setBlocked" | "endSessions" | "endSession" | "setRole" | "isBootstrapCode" | "takeBootstrapCode"
>;

function subjectOf(draft: ActDraft): AccountId {
  if (draft.accountId === null) throw new Error(`${draft.action} needs an account`);
  return draft.accountId;
}

function acting(db: Db<AuthTables>, encode: Bus["encode"]): Acting {
  return {
    record: (draft, now) => db.transaction((trx) => recordAct(trx, draft, now)),
    setBlocked: (draft, blocked, now, mails) =>
      db.transaction(async (trx) => {
        const accountId = subjectOf(draft);
        const changed = await trx
          .updateTable("account")
          .set({ blocked_at: blocked ? now : null })
          .where("id", "=", idToUuid(accountId))
          .where("blocked_at", blocked ? "is" : "is not", null)
          .executeTakeFirst();
        if (changed.numUpdatedRows === 0n) return false;
        await endSessions(trx, accountId, undefined, now);
        await insertMails(trx, mails, now);
        const data = { accountId, blocked, at: now.toISOString() };
        await insertOutbox(trx, [encode(accountBlocked, { id: newId("evt"), params: { accountId }, data })]);
        await recordAct(trx, draft, now);
        return true;
      }),
    endSessions: (draft, now) =>
      db.transaction(async (trx) => {
        const ended = await endSessions(trx, subjectOf(draft), undefined, now);
        await recordAct(trx, draft, now);
        return ended;
      }),
    endSession: (draft, sessionId, now) =>
      db.transaction(async (trx) => {
        if (!(await endSessionOf(trx, subjectOf(draft), sessionId, now))) return false;
        await recordAct(trx, draft, now);
        return true;
      }),
    setRole: (draft, role, now) =>
      db.transaction(async (trx) => {
        const accountId = subjectOf(draft);
        const changed = await trx
          .updateTable("account")
          .set({ role })
          .where("id", "=", idToUuid(accountId))
          .executeTakeFirst();
        if (changed.numUpdatedRows === 0n) return false;
        await endSessions(trx, accountId, undefined, now);
        await recordAct(trx, draft, now);
        return true;
      }),
    async isBootstrapCode(code, now) {
      const row = await db.kysely
        .selectFrom("bootstrap_code")
        .select("only_one")
        .where("code_hash", "=", hashOfToken(code))
        .where("expires_at", ">", now)
        .executeTakeFirst();
      return row !== undefined && !(await hasAdmin(db.kysely));
    },
    takeBootstrapCode: (code, now) => db.transaction((trx) => takeCode(trx, code, now)),
  };
}

async function hasAdmin(on: Pick<Transaction<AuthTables>, "selectFrom">): Promise<boolean> {
  return (
    (await on.selectFrom("account").select("id").where("role", "=", "admin").limit(1).executeTakeFirst()) !== undefined
  );
}

async function takeCode(trx: Transaction<AuthTables>, code: string, now: Date): Promise<boolean> {
  if (await hasAdmin(trx)) return false;
  const taken = await trx
    .deleteFrom("bootstrap_code")
    .where("code_hash", "=", hashOfToken(code))
    .where("expires_at", ">", now)
    .executeTakeFirst();
  return taken.numDeletedRows > 0n;
}

function reading(db: Db<AuthTables>): Pick<AccountActs, "search" | "find" | "listOfOthers"> {
  return {
    async search(search, after, limit, now) {
      let query = operated(db, now).orderBy("account.id").limit(limit);
      if (after !== undefined) query = query.where("account.id", ">", idToUuid(after));
      if (search !== undefined) {
        const accountId = parseId("acc", search);
        query =
          accountId === undefined
            ? query.where("account.email", "like", `${escapeLike(search.toLowerCase())}%`)
            : query.where("account.id", "=", idToUuid(accountId));
      }
      return (await query.execute()).map(fromDb);
    },
    async find(accountId, now) {
      const row = await operated(db, now).where("account.id", "=", idToUuid(accountId)).executeTakeFirst();
      return row && fromDb(row);
    },
    async listOfOthers(accountId, limit) {
      const acts = await listActs(db, { accountId: idToUuid(accountId), byOthers: true }, limit);
      return acts.map(({ id, action, reason, at }) => ({
        actId: uuidToId("act", id),
        action: action as AccountAction,
        reason,
        at,
      }));
    },
  };
}

/** Nothing secret is even selected. */
function operated(db: Db<AuthTables>, now: Date) {
  return db.kysely
    .selectFrom("account")
    .select(["id", "email", "name", "role", "created_at", "blocked_at", "language", "mail_signals"])
    .select((eb) => [
      eb
        .selectFrom("session")
        .select(({ fn }) => fn.countAll<bigint>().as("n"))
        .whereRef("session.account_id", "=", "account.id")
        .where("session.ended_at", "is", null)
        .where("session.created_at", ">", since(now, "absoluteMs"))
        .where("session.last_seen_at", ">", since(now, "idleMs"))
        .as("live_sessions"),
      sql<boolean>`exists (select from totp where totp.account_id = account.id and totp.confirmed_at is not null)
        or exists (select from passkey where passkey.account_id = account.id)`.as("second_factor"),
    ]);
}

/** The moment since which a session of the account must have begun, or been used, to live still. */
function since(now: Date, bound: keyof SessionLife) {
  const [customers, operators] = (["user", "admin"] as const).map(
    (role) => new Date(now.getTime() - sessionLife(role)[bound]),
  );
  return sql<Date>`case when account.role = 'user' then ${customers}::timestamptz else ${operators}::timestamptz end`;
}

type Row = Awaited<ReturnType<ReturnType<typeof operated>["executeTakeFirstOrThrow"]>>;

function fromDb(row: Row): OperatedAccount {
  return {
    accountId: uuidToId("acc", row.id),
    email: row.email,
    name: row.name,
    role: row.role,
    createdAt: row.created_at,
    blockedAt: row.blocked_at,
    secondFactor: row.second_factor,
    liveSessions: Number(row.live_sessions ?? 0n),
    language: row.language,
    mailSignals: row.mail_signals,
  };
}

function escapeLike(text: string): string {
  return text.replaceAll(/[\\%_]/g, (letter) => `\\${letter}`);
}
