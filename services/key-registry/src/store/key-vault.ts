import type { Db } from "@codex/db";
import {
  idToUuid,
  newDataKey,
  sealSecret,
  unsealSecret,
  uuidToId,
  type AccountId,
  type KeyId,
  type MasterKeys,
} from "@codex/kernel";
import { randomUUID } from "node:crypto";
import type { KeyVault } from "../app/ports.ts";
import type { KeyTables } from "./schema.ts";

/**
 * Keys that may be shown again, by envelope encryption (SEC-41, SEC-43): one data key an account, wrapped by the service's master
 * key; each API key is sealed by its account's data key, bound to key, account and data key.
 */
export function keyVault(db: Db<KeyTables>, masters: MasterKeys): KeyVault {
  const find = (accountId: AccountId) =>
    db.kysely.selectFrom("data_key").selectAll().where("account_id", "=", idToUuid(accountId)).executeTakeFirst();
  const dataKeyOf = async (accountId: AccountId) => {
    const present = await find(accountId);
    if (present) return present;
    const id = randomUUID();
    const { wrapped, version } = masters.wrap(newDataKey(), wrapContext(accountId, id));
    await db.kysely
      .insertInto("data_key")
      .values({ id, account_id: idToUuid(accountId), wrapped_key: wrapped, master_version: version })
      .onConflict((conflict) => conflict.column("account_id").doNothing())
      .execute();
    // Whoever was first: all seal by the same one.
    const made = await find(accountId);
    if (!made) throw new Error("the data key of an account is gone");
    return made;
  };
  return {
    async seal(accountId, keyId, secret) {
      const { id, wrapped_key: wrapped, master_version: version } = await dataKeyOf(accountId);
      const dataKey = masters.unwrap({ wrapped, version }, wrapContext(accountId, id));
      return { sealedSecret: sealSecret(secret, dataKey, secretContext(accountId, keyId, id)), dataKeyId: id };
    },
    async open(accountId, keyId, { sealedSecret, dataKeyId }) {
      const row = await find(accountId);
      if (row?.id !== dataKeyId) throw new Error("the key was sealed by another data key");
      const { wrapped_key: wrapped, master_version: version } = row;
      const dataKey = masters.unwrap({ wrapped, version }, wrapContext(accountId, dataKeyId));
      return unsealSecret(sealedSecret, dataKey, secretContext(accountId, keyId, dataKeyId));
    },
    rewrap: () => rewrapAll(db, masters),
  };
}

const wrapContext = (accountId: AccountId, dataKeyId: string): string => `account-data-key:${accountId}:${dataKeyId}`;
const secretContext = (accountId: AccountId, keyId: KeyId, dataKeyId: string): string =>
  `api-key:${keyId}:${accountId}:${dataKeyId}`;

const pageMax = 500;

/** Row by row and by what was read, so that two replicas do no harm; a key that was just made is under the new one already. */
async function rewrapAll(db: Db<KeyTables>, masters: MasterKeys): Promise<number> {
  let count = 0;
  for (;;) {
    const rows = await db.kysely
      .selectFrom("data_key")
      .selectAll()
      .where("master_version", "=", masters.version - 1)
      .limit(pageMax)
      .execute();
    for (const { id, account_id: account, wrapped_key: wrapped, master_version: version } of rows) {
      const rewrapped = masters.rewrap({ wrapped, version }, wrapContext(uuidToId("acc", account), id));
      if (!rewrapped) continue;
      await db.kysely
        .updateTable("data_key")
        .set({ wrapped_key: rewrapped.wrapped, master_version: rewrapped.version })
        .where("id", "=", id)
        .where("master_version", "=", version)
        .execute();
      count += 1;
    }
    if (rows.length < pageMax) return count;
  }
}

/** Where repeat display is off nothing is kept: what was sealed while it was on goes. Answers how many keys were forgotten. */
export async function forgetSealed(db: Db<KeyTables>): Promise<number> {
  const { numUpdatedRows } = await db.kysely
    .updateTable("api_key")
    .set({ sealed_secret: null, data_key_id: null })
    .where("sealed_secret", "is not", null)
    .executeTakeFirstOrThrow();
  return Number(numUpdatedRows);
}
