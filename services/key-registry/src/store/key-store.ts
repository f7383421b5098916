import type { Bus } from "@codex/bus";
import { keyChanged } from "@codex/contracts";
import { insertOutbox, type Db } from "@codex/db";
import { idToUuid, newId, uuidToId, type AccountId, type KeyId } from "@codex/kernel";
import { isDeepStrictEqual } from "node:util";
import { sql, type Selectable, type Transaction } from "kysely";
import type { KeyCaps, KeyLimits, KeySettings, KeyStore, NewKey, StoredKey } from "../app/ports.ts";
import type { ApiKeyTable, KeyTables } from "./schema.ts";

type Announce = (trx: Transaction<KeyTables>, key: StoredKey) => Promise<void>;

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
    revoke: (accountId, keyId) => db.transaction((trx) => revokeKey(trx, announce, accountId, keyId)),
    change: (accountId, keyId, settings) =>
      db.transaction((trx) => changeKey(trx, announce, accountId, keyId, settings)),
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

async function insertKey(
  trx: Transaction<KeyTables>,
  announce: Announce,
  key: NewKey,
  keysMax: number,
): Promise<StoredKey | undefined> {
  // Serialises the creations of one account, so that the bound holds under concurrency.
  await sql`select pg_advisory_xact_lock(hashtextextended(${key.accountId}, 0))`.execute(trx);
  const { active } = await trx
    .selectFrom("api_key")
    .select((eb) => eb.fn.countAll<bigint>().as("active"))
    .where("account_id", "=", idToUuid(key.accountId))
    .where("status", "=", "active")
    .executeTakeFirstOrThrow();
  if (active >= BigInt(keysMax)) return undefined;
  const row = await trx
    .insertInto("api_key")
    .values({
      id: idToUuid(key.keyId),
      account_id: idToUuid(key.accountId),
      name: key.name,
      display_prefix: key.displayPrefix,
      hash: Buffer.from(key.hash, "hex"),
      status: "active",
      version: 1,
      expires_at: null,
      ...toDbSettings(key),
      revoked_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  const stored = fromDbKey(row);
  await announce(trx, stored);
  return stored;
}

async function changeKey(
  trx: Transaction<KeyTables>,
  announce: Announce,
  accountId: AccountId,
  keyId: KeyId,
  settings: Partial<KeySettings>,
): Promise<StoredKey | undefined> {
  const row = await trx
    .selectFrom("api_key")
    .selectAll()
    .where("id", "=", idToUuid(keyId))
    .where("account_id", "=", idToUuid(accountId))
    .where("status", "=", "active")
    .forUpdate()
    .executeTakeFirst();
  if (!row) return undefined;
  const present = fromDbKey(row);
  const wanted = toDbSettings({ ...present, ...settings });
  if (isDeepStrictEqual(wanted, toDbSettings(present))) return present;
  const changed = await trx
    .updateTable("api_key")
    .set({ ...wanted, version: row.version + 1 })
    .where("id", "=", row.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  const stored = fromDbKey(changed);
  await announce(trx, stored);
  return stored;
}

function toDbSettings({ caps, limits, models, allowedIps }: KeySettings) {
  return {
    cap_daily: caps?.daily ?? null,
    cap_monthly: caps?.monthly ?? null,
    cap_total: caps?.total ?? null,
    requests_per_minute: limits?.requestsPerMinute ?? null,
    tokens_per_minute: limits?.tokensPerMinute ?? null,
    concurrent_requests: limits?.concurrentRequests ?? null,
    models,
    allowed_ips: allowedIps,
  };
}

async function revokeKey(
  trx: Transaction<KeyTables>,
  announce: Announce,
  accountId: AccountId,
  keyId: KeyId,
): Promise<StoredKey | undefined> {
  const row = await trx
    .selectFrom("api_key")
    .selectAll()
    .where("id", "=", idToUuid(keyId))
    .where("account_id", "=", idToUuid(accountId))
    .forUpdate()
    .executeTakeFirst();
  if (!row) return undefined;
  if (row.status === "revoked") return fromDbKey(row);
  const changed = await trx
    .updateTable("api_key")
    .set({ status: "revoked", revoked_at: sql`now()`, version: row.version + 1 })
    .where("id", "=", row.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  const stored = fromDbKey(changed);
  await announce(trx, stored);
  return stored;
}

function fromDbKey(row: Selectable<ApiKeyTable>): StoredKey {
  return {
    keyId: uuidToId("key", row.id),
    accountId: uuidToId("acc", row.account_id),
    name: row.name,
    displayPrefix: row.display_prefix,
    hash: row.hash.toString("hex"),
    status: row.status,
    version: row.version,
    models: row.models,
    expiresAt: row.expires_at,
    caps: fromDbCaps(row),
    limits: fromDbLimits(row),
    allowedIps: row.allowed_ips,
    createdAt: row.created_at,
    revokedAt: row.revoked_at,
  };
}

function fromDbCaps(row: Selectable<ApiKeyTable>): KeyCaps | null {
  const { cap_daily: daily, cap_monthly: monthly, cap_total: total } = row;
  return daily === null && monthly === null && total === null ? null : { daily, monthly, total };
}

function fromDbLimits(row: Selectable<ApiKeyTable>): KeyLimits | null {
  const requestsPerMinute = row.requests_per_minute;
  const tokensPerMinute = row.tokens_per_minute;
  const concurrentRequests = row.concurrent_requests;
  const isNone = requestsPerMinute === null && tokensPerMinute === null && concurrentRequests === null;
  return isNone ? null : { requestsPerMinute, tokensPerMinute, concurrentRequests };
}
