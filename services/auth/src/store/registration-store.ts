import type { Db } from "@codex/db";
import { idToUuid, newId } from "@codex/kernel";
import type { Registration, RegistrationStore } from "../app/ports.ts";
import { hashOfToken, newToken } from "../crypto/token.ts";
import { linkLifeMs } from "../domain/mail.ts";
import { tokenFailuresMax } from "./one-time-rows.ts";
import { insertMails } from "./mail-store.ts";
import type { AuthTables } from "./schema.ts";

/** Accounts that are not proved yet, and invitations. */
export function registrationStore(db: Db<AuthTables>, wake: () => void): RegistrationStore {
  return { ...pending(db, wake), ...invitations(db) };
}

function pending(db: Db<AuthTables>, wake: () => void): Omit<RegistrationStore, "invite" | "isInvited"> {
  return {
    put: (registration, now) => put(db, wake, registration, now),
    async find(token, now): Promise<Registration | undefined> {
      const row = await db.kysely
        .selectFrom("registration")
        .selectAll()
        .where("token_hash", "=", hashOfToken(token))
        .where("expires_at", ">", now)
        .where("failures", "<", tokenFailuresMax)
        .executeTakeFirst();
      if (!row) return undefined;
      const { email, name, password_hash: passwordHash, language, consents } = row;
      return { email, name, passwordHash, language, consents, invitation: undefined };
    },
    async failed(token) {
      await db.kysely
        .updateTable("registration")
        .set(({ eb }) => ({ failures: eb("failures", "+", 1) }))
        .where("token_hash", "=", hashOfToken(token))
        .execute();
    },
    take: (token) =>
      db.transaction(async (trx) => {
        const taken = await trx
          .deleteFrom("registration")
          .where("token_hash", "=", hashOfToken(token))
          .returning("invitation_hash")
          .executeTakeFirst();
        if (!taken) return false;
        if (!taken.invitation_hash) return true;
        const used = await trx
          .deleteFrom("invitation")
          .where("token_hash", "=", taken.invitation_hash)
          .executeTakeFirst();
        return used.numDeletedRows > 0n;
      }),
    async issueToken(email) {
      const token = newToken();
      const row = await db.kysely
        .updateTable("registration")
        .set({ token_hash: hashOfToken(token) })
        .where("email", "=", email)
        .returning("email")
        .executeTakeFirst();
      return row && token;
    },
    async drop(email) {
      await db.kysely.deleteFrom("registration").where("email", "=", email).execute();
    },
  };
}

async function put(db: Db<AuthTables>, wake: () => void, registration: Registration, now: Date): Promise<void> {
  await db.transaction(async (trx) => {
    const row = {
      id: idToUuid(newId("job")),
      email: registration.email,
      name: registration.name,
      password_hash: registration.passwordHash,
      language: registration.language,
      consents: JSON.stringify(registration.consents),
      invitation_hash: registration.invitation === undefined ? null : hashOfToken(registration.invitation),
      token_hash: null,
      failures: 0,
      created_at: now,
      expires_at: new Date(now.getTime() + linkLifeMs.register),
    };
    await trx
      .insertInto("registration")
      .values(row)
      .onConflict((on) => on.column("email").doUpdateSet(row))
      .execute();
    const { email, language } = registration;
    await insertMails(trx, [{ kind: "register", email, language }], now);
  });
  wake();
}

function invitations(db: Db<AuthTables>): Pick<RegistrationStore, "invite" | "isInvited"> {
  return {
    async invite(email, createdBy, now) {
      const token = newToken();
      const expiresAt = new Date(now.getTime() + linkLifeMs.invitation);
      const row = { token_hash: hashOfToken(token), email, created_by: idToUuid(createdBy), expires_at: expiresAt };
      await db.kysely.insertInto("invitation").values(row).execute();
      return token;
    },
    async isInvited(token, email, now) {
      const row = await db.kysely
        .selectFrom("invitation")
        .select("email")
        .where("token_hash", "=", hashOfToken(token))
        .where("email", "=", email)
        .where("expires_at", ">", now)
        .executeTakeFirst();
      return row !== undefined;
    },
  };
}
