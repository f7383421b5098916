import type { Bus } from "@codex/bus";
import { accountRegistered } from "@codex/contracts";
import { insertOutbox, isUniqueViolation, type Db } from "@codex/db";
import { idToUuid, newId, uuidToId } from "@codex/kernel";
import { sql, type Selectable } from "kysely";
import type { AccountStore, StoredAccount } from "../app/ports.ts";
import type { AccountTable, AuthTables } from "./schema.ts";

/** `encode` is the bus's: the event that leaves with the row is made by the contract. */
export function accountStore(db: Db<AuthTables>, encode: Bus["encode"]): AccountStore {
  return {
    async create(account) {
      const { accountId, role, createdAt } = account;
      try {
        await db.transaction(async (trx) => {
          await trx
            .insertInto("account")
            .values({
              id: idToUuid(accountId),
              email: account.email,
              name: account.name,
              role,
              password_hash: account.passwordHash,
              created_at: createdAt,
            })
            .execute();
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
    setRole: (email, role) =>
      db.transaction(async (trx) => {
        const row = await trx
          .updateTable("account")
          .set({ role })
          .where("email", "=", email)
          .returning("id")
          .executeTakeFirst();
        if (!row) return false;
        await trx
          .updateTable("session")
          .set({ ended_at: sql`now()` })
          .where("account_id", "=", row.id)
          .where("ended_at", "is", null)
          .execute();
        return true;
      }),
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
  };
}
