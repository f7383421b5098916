import { isUniqueViolation, type Db } from "@codex/db";
import { idToUuid, uuidToId, type AccountId } from "@codex/kernel";
import { sql, type Selectable } from "kysely";
import type { FactorStore, StoredPasskey } from "../app/factor-ports.ts";
import type { Sealer } from "../crypto/sealer.ts";
import { hashOfToken } from "../crypto/token.ts";
import { recordOwn } from "./act-log.ts";
import type { AuthTables, PasskeyTable } from "./schema.ts";

export const passkeysMax = 20;

export function factorStore(db: Db<AuthTables>, sealer: Sealer): FactorStore {
  return { ...totpPart(db, sealer), ...recoveryPart(db), ...passkeyPart(db) };
}

type Totp = Pick<FactorStore, "totp" | "putTotp" | "takeTotpStep" | "removeTotp">;

const contextOf = (accountId: AccountId): string => `totp:${accountId}`;

const resealPage = 500;

/**
 * Brings the secrets of authenticator apps under the present data key, so that the one before can be taken away (SEC-43). By what was
 * read, so that several replicas do no harm. Answers how many were changed; those that no key opens are counted apart and left.
 */
export async function resealTotp(
  db: Db<AuthTables>,
  sealer: Sealer,
): Promise<{ readonly resealed: number; readonly unreadable: number }> {
  let [resealed, unreadable] = [0, 0];
  for (let after = "00000000-0000-0000-0000-000000000000"; ;) {
    const rows = await db.kysely
      .selectFrom("totp")
      .select(["account_id", "sealed_secret"])
      .where("account_id", ">", after)
      .orderBy("account_id")
      .limit(resealPage)
      .execute();
    for (const { account_id: account, sealed_secret: sealed } of rows) {
      after = account;
      const fresh = resealedOrNot(sealer, sealed, contextOf(uuidToId("acc", account)));
      if (fresh === "unreadable") unreadable += 1;
      if (fresh === "unreadable" || fresh === "present") continue;
      await db.kysely
        .updateTable("totp")
        .set({ sealed_secret: fresh.sealed })
        .where("account_id", "=", account)
        .where("sealed_secret", "=", sealed)
        .execute();
      resealed += 1;
    }
    if (rows.length < resealPage) return { resealed, unreadable };
  }
}

function resealedOrNot(
  sealer: Sealer,
  sealed: string,
  context: string,
): { readonly sealed: string } | "present" | "unreadable" {
  try {
    const fresh = sealer.reseal(sealed, context);
    return fresh === undefined ? "present" : { sealed: fresh };
  } catch {
    return "unreadable";
  }
}

function totpPart(db: Db<AuthTables>, sealer: Sealer): Totp {
  return {
    async totp(accountId) {
      const row = await db.kysely
        .selectFrom("totp")
        .select(["sealed_secret", "confirmed_at"])
        .where("account_id", "=", idToUuid(accountId))
        .executeTakeFirst();
      if (!row) return undefined;
      const secret = sealer.unseal(row.sealed_secret, contextOf(accountId));
      return { secret, confirmed: row.confirmed_at !== null };
    },
    async putTotp(accountId, secret, now) {
      const sealed_secret = sealer.seal(secret, contextOf(accountId));
      const row = {
        account_id: idToUuid(accountId),
        sealed_secret,
        confirmed_at: null,
        last_step: 0n,
        created_at: now,
      };
      const put = await db.kysely
        .insertInto("totp")
        .values(row)
        .onConflict((on) => on.column("account_id").doUpdateSet(row).where("totp.confirmed_at", "is", null))
        .executeTakeFirst();
      return (put.numInsertedOrUpdatedRows ?? 0n) > 0n;
    },
    takeTotpStep: (accountId, step, confirm, now) =>
      db.transaction(async (trx) => {
        const taken = await trx
          .updateTable("totp")
          .set({ last_step: BigInt(step), ...(confirm ? { confirmed_at: now } : {}) })
          .where("account_id", "=", idToUuid(accountId))
          .where("last_step", "<", BigInt(step))
          .where("confirmed_at", confirm ? "is" : "is not", null)
          .executeTakeFirst();
        const isTaken = taken.numUpdatedRows > 0n;
        if (isTaken && confirm) await recordOwn(trx, accountId, "totp_added", now);
        return isTaken;
      }),
    removeTotp: (accountId) =>
      db.transaction(async (trx) => {
        const removed = await trx
          .deleteFrom("totp")
          .where("account_id", "=", idToUuid(accountId))
          .where("confirmed_at", "is not", null)
          .executeTakeFirst();
        const isRemoved = removed.numDeletedRows > 0n;
        if (isRemoved) await recordOwn(trx, accountId, "totp_removed");
        return isRemoved;
      }),
  };
}

type Recovery = Pick<FactorStore, "recoveryCodesLeft" | "setRecoveryCodes" | "takeRecoveryCode">;

function recoveryPart(db: Db<AuthTables>): Recovery {
  return {
    async recoveryCodesLeft(accountId) {
      const { left } = await db.kysely
        .selectFrom("recovery_code")
        .select(({ fn }) => fn.countAll<bigint>().as("left"))
        .where("account_id", "=", idToUuid(accountId))
        .executeTakeFirstOrThrow();
      return Number(left);
    },
    setRecoveryCodes: (accountId, codes) =>
      db.transaction(async (trx) => {
        const account_id = idToUuid(accountId);
        await trx.deleteFrom("recovery_code").where("account_id", "=", account_id).execute();
        const rows = codes.map((code) => ({ account_id, code_hash: hashOfToken(code) }));
        // None: they went with the last factor, which has a line of its own.
        if (rows.length === 0) return;
        await trx.insertInto("recovery_code").values(rows).execute();
        await recordOwn(trx, accountId, "recovery_codes_renewed");
      }),
    takeRecoveryCode: (accountId, code) =>
      db.transaction(async (trx) => {
        const taken = await trx
          .deleteFrom("recovery_code")
          .where("account_id", "=", idToUuid(accountId))
          .where("code_hash", "=", hashOfToken(code))
          .executeTakeFirst();
        const isTaken = taken.numDeletedRows > 0n;
        if (isTaken) await recordOwn(trx, accountId, "recovery_code_used");
        return isTaken;
      }),
  };
}

type Passkeys = Pick<FactorStore, "passkeysOf" | "passkey" | "addPasskey" | "usedPasskey" | "removePasskey">;

function passkeyPart(db: Db<AuthTables>): Passkeys {
  return {
    async passkeysOf(accountId) {
      const rows = await db.kysely
        .selectFrom("passkey")
        .selectAll()
        .where("account_id", "=", idToUuid(accountId))
        .orderBy("created_at")
        .limit(passkeysMax)
        .execute();
      return rows.map(fromDbPasskey);
    },
    async passkey(credentialId) {
      const row = await db.kysely
        .selectFrom("passkey")
        .selectAll()
        .where("credential_id", "=", credentialId)
        .executeTakeFirst();
      return row && fromDbPasskey(row);
    },
    async addPasskey(passkey) {
      try {
        return await db.transaction(async (trx) => {
          const account_id = idToUuid(passkey.accountId);
          // One at a time for an account, or two at once could pass the count together.
          await trx.selectFrom("account").select("id").where("id", "=", account_id).forUpdate().execute();
          const { known } = await trx
            .selectFrom("passkey")
            .select(({ fn }) => fn.countAll<bigint>().as("known"))
            .where("account_id", "=", account_id)
            .executeTakeFirstOrThrow();
          if (Number(known) >= passkeysMax) return false;
          await trx.insertInto("passkey").values(toDbPasskey(passkey)).execute();
          await recordOwn(trx, passkey.accountId, "passkey_added", passkey.createdAt);
          return true;
        });
      } catch (error) {
        if (isUniqueViolation(error)) return false;
        throw error;
      }
    },
    async usedPasskey(credentialId, counter, now) {
      await db.kysely
        .updateTable("passkey")
        .set({ counter: sql<bigint>`greatest(counter, ${BigInt(counter)})`, last_used_at: now })
        .where("credential_id", "=", credentialId)
        .execute();
    },
    removePasskey: (accountId, credentialId) =>
      db.transaction(async (trx) => {
        const removed = await trx
          .deleteFrom("passkey")
          .where("account_id", "=", idToUuid(accountId))
          .where("credential_id", "=", credentialId)
          .executeTakeFirst();
        const isRemoved = removed.numDeletedRows > 0n;
        if (isRemoved) await recordOwn(trx, accountId, "passkey_removed");
        return isRemoved;
      }),
  };
}

function toDbPasskey(passkey: StoredPasskey): Selectable<PasskeyTable> {
  return {
    credential_id: passkey.credentialId,
    account_id: idToUuid(passkey.accountId),
    public_key: Buffer.from(passkey.publicKey),
    counter: BigInt(passkey.counter),
    transports: [...passkey.transports],
    name: passkey.name,
    created_at: passkey.createdAt,
    last_used_at: passkey.lastUsedAt,
  };
}

function fromDbPasskey(row: Selectable<PasskeyTable>): StoredPasskey {
  return {
    credentialId: row.credential_id,
    accountId: uuidToId("acc", row.account_id),
    publicKey: Uint8Array.from(row.public_key),
    counter: Number(row.counter),
    transports: row.transports,
    name: row.name,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  };
}
