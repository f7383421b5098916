import type { Bus } from "@codex/bus";
import { accountRegistered } from "@codex/contracts";
import { insertOutbox, isUniqueViolation, type Db } from "@codex/db";
import { idToUuid, newId, uuidToId } from "@codex/kernel";
import type { Selectable } from "kysely";
import type { AccountStore, StoredAccount } from "../app/ports.ts";
import { insertMails } from "./mail-store.ts";
import type { AccountTable, AuthTables } from "./schema.ts";

/** `encode` is the bus's: the event that leaves with the row is made by the contract. */
export function accountStore(db: Db<AuthTables>, encode: Bus["encode"]): AccountStore {
  return {
    async create(account, consents = []) {
      const { accountId, role, createdAt } = account;
      try {
        await db.transaction(async (trx) => {
          await trx.insertInto("account").values(toDbAccount(account)).execute();
          if (consents.length > 0) {
            const agreed = consents.map((consent) => ({ ...consent, account_id: idToUuid(accountId), at: createdAt }));
            await trx.insertInto("consent").values(agreed).execute();
          }
          const data = { accountId, role, createdAt: createdAt.toISOString() };
          await insertOutbox(trx, [encode(accountRegistered, { id: newId("evt"), params: { accountId }, data })]);
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
    ...changes(db),
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

function changes(db: Db<AuthTables>): Pick<AccountStore, "changePassword" | "setProfile" | "changeEmail"> {
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
      }),
    async setProfile(accountId, change) {
      if (change.name === undefined && change.language === undefined) return;
      await db.kysely.updateTable("account").set(change).where("id", "=", idToUuid(accountId)).execute();
    },
    async changeEmail(accountId, email, mails) {
      try {
        await db.transaction(async (trx) => {
          await trx.updateTable("account").set({ email }).where("id", "=", idToUuid(accountId)).execute();
          await trx.deleteFrom("link").where("account_id", "=", idToUuid(accountId)).execute();
          await insertMails(trx, mails, new Date());
        });
        return true;
      } catch (error) {
        if (isUniqueViolation(error, "account_email_key")) return false;
        throw error;
      }
    },
  };
}

function toDbAccount(account: StoredAccount): Selectable<AccountTable> {
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
