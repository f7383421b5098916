import { isUniqueViolation, type Db } from "@codex/db";
import { idToUuid, uuidToId, type AccountId } from "@codex/kernel";
import { sql, type Selectable } from "kysely";
import type { FactorStore, StoredPasskey } from "../app/factor-ports.ts";
import type { Sealer } from "../crypto/sealer.ts";
import { hashOfToken } from "../crypto/token.ts";
import type { AuthTables, PasskeyTable } from "./schema.ts";

export const passkeysMax = 20;

export function factorStore(db: Db<AuthTables>, sealer: Sealer): FactorStore {
  return { ...totpPart(db, sealer), ...recoveryPart(db), ...passkeyPart(db) };
}

type Totp = Pick<FactorStore, "totp" | "putTotp" | "takeTotpStep" | "removeTotp">;

function totpPart(db: Db<AuthTables>, sealer: Sealer): Totp {
  const contextOf = (accountId: AccountId): string => `totp:${accountId}`;
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
    async takeTotpStep(accountId, step, confirm, now) {
      const taken = await db.kysely
        .updateTable("totp")
        .set({ last_step: BigInt(step), ...(confirm ? { confirmed_at: now } : {}) })
        .where("account_id", "=", idToUuid(accountId))
        .where("last_step", "<", BigInt(step))
        .where("confirmed_at", confirm ? "is" : "is not", null)
        .executeTakeFirst();
      return taken.numUpdatedRows > 0n;
    },
    async removeTotp(accountId) {
      const removed = await db.kysely
        .deleteFrom("totp")
        .where("account_id", "=", idToUuid(accountId))
        .where("confirmed_at", "is not", null)
        .executeTakeFirst();
      return removed.numDeletedRows > 0n;
    },
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
        if (rows.length > 0) await trx.insertInto("recovery_code").values(rows).execute();
      }),
    async takeRecoveryCode(accountId, code) {
      const taken = await db.kysely
        .deleteFrom("recovery_code")
        .where("account_id", "=", idToUuid(accountId))
        .where("code_hash", "=", hashOfToken(code))
        .executeTakeFirst();
      return taken.numDeletedRows > 0n;
    },
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
    async removePasskey(accountId, credentialId) {
      const removed = await db.kysely
        .deleteFrom("passkey")
        .where("account_id", "=", idToUuid(accountId))
        .where("credential_id", "=", credentialId)
        .executeTakeFirst();
      return removed.numDeletedRows > 0n;
    },
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
