import type { Bus } from "@codex/bus";
import { keyChanged } from "@codex/contracts";
import { insertOutbox, type Db } from "@codex/db";
import { idToUuid, newId, uuidToId, type AccountId, type KeyId } from "@codex/kernel";
import { isDeepStrictEqual } from "node:util";
import { sql, type Selectable, type Transaction } from "kysely";
import type { KeySettings, KeyStore, KeyUse, NewKey, Rolled, StoredKey } from "../app/ports.ts";
import { byOwner, recordKeyActs, restrictionsForLog, settingsForLog } from "./key-acts.ts";
import { revokedNow, update, type Announce } from "./key-rows.ts";
import { lockAccount } from "./lock-account.ts";
import { fromDbKey, toDbSettings } from "./mapping.ts";
import { reportKey } from "./reports.ts";
import { takeShowing } from "./showings.ts";
import type { ApiKeyTable, KeyTables } from "./schema.ts";

/** `encode` is the bus's: the event that leaves with the row is made by the contract. */
export function keyStore(db: Db<KeyTables>, encode: Bus["encode"]): KeyStore {
  const announce: Announce = async (trx, key) => {
    const { keyId, accountId, hash, status, version } = key;
    await insertOutbox(trx, [
      encode(keyChanged, {
        id: newId("evt"),
        params: { keyId },
        data: { keyId, accountId, keyHash: hash, status, version },
      }),
    ]);
  };
  return {
    create: (key, keysMax) => db.transaction((trx) => insertKey(trx, announce, key, keysMax)),
    async list(accountId, limit) {
      const rows = await db.kysely
        .selectFrom("api_key")
        .selectAll()
        .where("account_id", "=", idToUuid(accountId))
        .orderBy("id", "desc")
        .limit(limit)
        .execute();
      return rows.map(fromDbKey);
    },
    async find(accountId, keyId) {
      const row = await db.kysely
        .selectFrom("api_key")
        .selectAll()
        .where("id", "=", idToUuid(keyId))
        .where("account_id", "=", idToUuid(accountId))
        .where("status", "=", "active")
        .executeTakeFirst();
      return row && fromDbKey(row);
    },
    revoke: (accountId, keyIds) => db.transaction((trx) => revokeKeys(trx, announce, accountId, keyIds)),
    roll: (accountId, keyId, successor, until, keysMax) =>
      db.transaction((trx) => rollKey(trx, announce, accountId, keyId, successor, until, keysMax)),
    change: (accountId, keyId, settings) =>
      db.transaction((trx) => changeKey(trx, announce, accountId, keyId, settings)),
    report: (report) => db.transaction((trx) => reportKey(trx, announce, encode, report)),
    takeShowing: (accountId, keyId, timesMax) => db.transaction((trx) => takeShowing(trx, accountId, keyId, timesMax)),
    used: (uses) => rememberUses(db, uses),
    async findByHash(hash) {
      const row = await db.kysely
        .selectFrom("api_key")
        .selectAll()
        .where("hash", "=", Buffer.from(hash, "hex"))
        .executeTakeFirst();
      return row && fromDbKey(row);
    },
    async revokedAfter(keyId, limit) {
      const rows = await db.kysely
        .selectFrom("api_key")
        .selectAll()
        .where("status", "=", "revoked")
        .$if(keyId !== undefined, (query) => query.where("id", ">", idToUuid(keyId ?? "")))
        .orderBy("id")
        .limit(limit)
        .execute();
      return rows.map(fromDbKey);
    },
  };
}

async function rememberUses(db: Db<KeyTables>, uses: readonly KeyUse[]): Promise<void> {
  await sql`
    update api_key
    set last_used_at = used.hour, last_used_client = used.client
    from unnest(
      ${uses.map(({ keyId }) => idToUuid(keyId))}::uuid[],
      ${uses.map(({ hour }) => hour)}::timestamptz[],
      ${uses.map(({ client }) => client)}::text[]
    ) as used (id, hour, client)
    where api_key.id = used.id
      and used.hour <= now()
      and (last_used_at is null or last_used_at < used.hour)
  `.execute(db.kysely);
}

async function insertKey(
  trx: Transaction<KeyTables>,
  announce: Announce,
  key: NewKey,
  keysMax: number,
): Promise<StoredKey | undefined> {
  await lockAccount(trx, key.accountId);
  const { active } = await trx
    .selectFrom("api_key")
    .select((eb) => eb.fn.countAll<bigint>().as("active"))
    .where("account_id", "=", idToUuid(key.accountId))
    .where("status", "=", "active")
    .where("replaced_by", "is", null)
    .executeTakeFirstOrThrow();
  if (active >= BigInt(keysMax)) return undefined;
  const stored = await addKey(trx, announce, key);
  await recordKeyActs(trx, [byOwner("key_created", stored, restrictionsForLog(stored))]);
  return stored;
}

async function addKey(trx: Transaction<KeyTables>, announce: Announce, key: NewKey): Promise<StoredKey> {
  const row = await trx
    .insertInto("api_key")
    .values({
      id: idToUuid(key.keyId),
      account_id: idToUuid(key.accountId),
      environment: key.environment,
      display_prefix: key.displayPrefix,
      hash: Buffer.from(key.hash, "hex"),
      status: "active",
      version: 1,
      ...toDbSettings(key),
      sealed_secret: key.sealed?.sealedSecret ?? null,
      data_key_id: key.sealed?.dataKeyId ?? null,
      last_used_at: null,
      last_used_client: null,
      replaced_by: null,
      revoked_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  const stored = fromDbKey(row);
  await announce(trx, stored);
  return stored;
}

/** Locked until the end of the transaction. Only keys that are not revoked. */
function activeRow(
  trx: Transaction<KeyTables>,
  accountId: AccountId,
  keyId: KeyId,
): Promise<Selectable<ApiKeyTable> | undefined> {
  return trx
    .selectFrom("api_key")
    .selectAll()
    .where("id", "=", idToUuid(keyId))
    .where("account_id", "=", idToUuid(accountId))
    .where("status", "=", "active")
    .forUpdate()
    .executeTakeFirst();
}

async function changeKey(
  trx: Transaction<KeyTables>,
  announce: Announce,
  accountId: AccountId,
  keyId: KeyId,
  settings: Partial<KeySettings>,
): Promise<StoredKey | undefined> {
  const row = await activeRow(trx, accountId, keyId);
  // What was rolled has an end that its owner chose, and a successor that is changed instead.
  if (!row || row.replaced_by !== null) return undefined;
  const present = fromDbKey(row);
  const wanted = toDbSettings({ ...present, ...settings });
  if (isDeepStrictEqual(wanted, toDbSettings(present))) return present;
  const changed = await update(trx, announce, row, wanted);
  await recordKeyActs(trx, [byOwner("key_changed", changed, settingsForLog(settings))]);
  return changed;
}

async function rollKey(
  trx: Transaction<KeyTables>,
  announce: Announce,
  accountId: AccountId,
  keyId: KeyId,
  successor: Pick<NewKey, "keyId" | "displayPrefix" | "hash" | "sealed">,
  until: Date | undefined,
  keysMax: number,
): Promise<Rolled> {
  await lockAccount(trx, accountId);
  const row = await activeRow(trx, accountId, keyId);
  if (!row) return { ok: false, refusal: "not_found" };
  if (row.replaced_by !== null) return { ok: false, refusal: "replaced" };
  const { running } = await trx
    .selectFrom("api_key")
    .select((eb) => eb.fn.countAll<bigint>().as("running"))
    .where("account_id", "=", row.account_id)
    .where("status", "=", "active")
    .where("replaced_by", "is not", null)
    .where("expires_at", ">", sql<Date>`now()`)
    .executeTakeFirstOrThrow();
  if (until && running >= BigInt(keysMax)) return { ok: false, refusal: "too_many" };
  const present = fromDbKey(row);
  const key = await addKey(trx, announce, { ...present, ...successor });
  const ending = until ? { expires_at: row.expires_at && row.expires_at < until ? row.expires_at : until } : revokedNow;
  const previous = await update(trx, announce, row, { ...ending, replaced_by: idToUuid(successor.keyId) });
  const end = previous.status === "revoked" ? "at once" : (previous.expiresAt?.toISOString() ?? null);
  await recordKeyActs(trx, [byOwner("key_rolled", previous, { successor: key.keyId, end })]);
  return { ok: true, key, previous };
}

async function revokeKeys(
  trx: Transaction<KeyTables>,
  announce: Announce,
  accountId: AccountId,
  keyIds: readonly KeyId[],
): Promise<readonly StoredKey[]> {
  // In one order, so that two of them cannot wait for each other.
  const rows = await trx
    .selectFrom("api_key")
    .selectAll()
    .where("id", "in", [...new Set(keyIds)].map(idToUuid))
    .where("account_id", "=", idToUuid(accountId))
    .orderBy("id")
    .forUpdate()
    .execute();
  const revoked: StoredKey[] = [];
  for (const row of rows)
    revoked.push(row.status === "revoked" ? fromDbKey(row) : await update(trx, announce, row, revokedNow));
  const active = new Set(rows.filter(({ status }) => status === "active").map(({ id }) => uuidToId("key", id)));
  await recordKeyActs(
    trx,
    revoked.filter(({ keyId }) => active.has(keyId)).map((key) => byOwner("key_revoked", key)),
  );
  return revoked;
}
