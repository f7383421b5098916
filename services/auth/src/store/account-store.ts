import type { Bus } from "@codex/bus";
import { accountRegistered } from "@codex/contracts";
import { insertOutbox, isUniqueViolation, type Db } from "@codex/db";
import { idToUuid, newId, uuidToId, type AccountId } from "@codex/kernel";
import type { Selectable, Transaction } from "kysely";
import type { AccountStore, StoredAccount } from "../app/ports.ts";
import { mailboxOf, type MailSignal } from "../domain/account.ts";
import { recordOwn } from "./act-log.ts";
import { insertMails } from "./mail-store.ts";
import type { AccountTable, AuthTables } from "./schema.ts";

/** `encode` is the bus's: the event that leaves with the row is made by the contract. */
export function accountStore(db: Db<AuthTables>, encode: Bus["encode"], isDisposable: IsDisposable): AccountStore {
  return {
    async create(account, consents = []) {
      const { accountId, role, createdAt } = account;
      try {
        await db.transaction(async (trx) => {
          const signs = await signsOf(trx, accountId, account.email, isDisposable);
          await trx
            .insertInto("account")
            .values({ ...toDbAccount(account), ...signs })
            .execute();
          if (consents.length > 0) {
            const agreed = consents.map((consent) => ({ ...consent, account_id: idToUuid(accountId), at: createdAt }));
            await trx.insertInto("consent").values(agreed).execute();
          }
          const data = { accountId, role, createdAt: createdAt.toISOString() };
          await insertOutbox(trx, [encode(accountRegistered, { id: newId("evt"), params: { accountId }, data })]);
          await recordOwn(trx, accountId, "account_registered", createdAt);
        });
        return true;
      } catch (error) {
        if (isUniqueViolation(error, "account_email_key")) return false;
        throw error;
      }
    },
    async findByEmail(email) {
      const row = await db.kysely.selectFrom("account").selectAll().where("email", "=", email).executeTakeFirst();
      return row && fromDbAccount(row);
    },
    async findById(accountId) {
      const row = await db.kysely
        .selectFrom("account")
        .selectAll()
        .where("id", "=", idToUuid(accountId))
        .executeTakeFirst();
      return row && fromDbAccount(row);
    },
    async setPasswordHash(accountId, from, to) {
      // Only when it is still the hash that was checked: a password change in between must not be undone.
      await db.kysely
        .updateTable("account")
        .set({ password_hash: to })
        .where("id", "=", idToUuid(accountId))
        .where("password_hash", "=", from)
        .execute();
    },
    ...changes(db, isDisposable),
    async consents(accountId) {
      const rows = await db.kysely
        .selectFrom("consent")
        .select(["document", "version", "at"])
        .where("account_id", "=", idToUuid(accountId))
        .orderBy("at", "desc")
        .orderBy("document")
        .execute();
      return rows;
    },
  };
}

type IsDisposable = (email: string) => boolean;

/** See the migration of mail signals. Two at once may miss each other: it is a hint. */
async function signsOf(
  trx: Transaction<AuthTables>,
  accountId: AccountId,
  email: string,
  isDisposable: IsDisposable,
): Promise<{ readonly mailbox: string; readonly mail_signals: readonly MailSignal[] }> {
  const mailbox = mailboxOf(email);
  const other = await trx
    .selectFrom("account")
    .select("id")
    .where("mailbox", "=", mailbox)
    .where("id", "<>", idToUuid(accountId))
    .limit(1)
    .executeTakeFirst();
  const signals: MailSignal[] = [];
  if (isDisposable(email)) signals.push("disposable");
  if (other) signals.push("shared_mailbox");
  return { mailbox, mail_signals: signals };
}

function changes(
  db: Db<AuthTables>,
  isDisposable: IsDisposable,
): Pick<AccountStore, "changePassword" | "setProfile" | "changeEmail"> {
  return {
    changePassword: (accountId, hash, now, mails) =>
      db.transaction(async (trx) => {
        const id = idToUuid(accountId);
        await trx.updateTable("account").set({ password_hash: hash }).where("id", "=", id).execute();
        await trx
          .updateTable("session")
          .set({ ended_at: now })
          .where("account_id", "=", id)
          .where("ended_at", "is", null)
          .execute();
        await trx.deleteFrom("link").where("account_id", "=", id).execute();
        await trx.deleteFrom("challenge").where("account_id", "=", id).execute();
        await insertMails(trx, mails, now);
        await recordOwn(trx, accountId, "password_changed", now);
      }),
    async setProfile(accountId, change) {
      if (change.name === undefined && change.language === undefined) return;
      await db.kysely.updateTable("account").set(change).where("id", "=", idToUuid(accountId)).execute();
    },
    async changeEmail(accountId, email, mails) {
      try {
        await db.transaction(async (trx) => {
          const signs = await signsOf(trx, accountId, email, isDisposable);
          await trx
            .updateTable("account")
            .set({ email, ...signs })
            .where("id", "=", idToUuid(accountId))
            .execute();
          await trx.deleteFrom("link").where("account_id", "=", idToUuid(accountId)).execute();
          await insertMails(trx, mails, new Date());
          await recordOwn(trx, accountId, "email_changed");
        });
        return true;
      } catch (error) {
        if (isUniqueViolation(error, "account_email_key")) return false;
        throw error;
      }
    },
  };
}

function toDbAccount(account: StoredAccount): Omit<Selectable<AccountTable>, "mailbox" | "mail_signals"> {
  return {
    id: idToUuid(account.accountId),
    email: account.email,
    name: account.name,
    role: account.role,
    password_hash: account.passwordHash,
    created_at: account.createdAt,
    language: account.language,
    blocked_at: account.blockedAt,
  };
}

function fromDbAccount(row: Selectable<AccountTable>): StoredAccount {
  return {
    accountId: uuidToId("acc", row.id),
    email: row.email,
    name: row.name,
    role: row.role,
    passwordHash: row.password_hash,
    createdAt: row.created_at,
    language: row.language,
    blockedAt: row.blocked_at,
  };
}
