import { sql, type Selectable, type Transaction, type UpdateObject } from "kysely";
import type { StoredKey } from "../app/ports.ts";
import { fromDbKey } from "./mapping.ts";
import type { ApiKeyTable, KeyTables } from "./schema.ts";

/** Writes the `key.changed` event of the key, in the same transaction. */
export type Announce = (trx: Transaction<KeyTables>, key: StoredKey) => Promise<void>;

/** In the same statement the sealed key goes; a trigger holds it for the version before too. */
export const revokedNow = {
  status: "revoked",
  revoked_at: sql<Date>`now()`,
  sealed_secret: null,
  data_key_id: null,
} as const;

/** With the event that tells of it. */
export async function update(
  trx: Transaction<KeyTables>,
  announce: Announce,
  row: Selectable<ApiKeyTable>,
  change: UpdateObject<KeyTables, "api_key">,
): Promise<StoredKey> {
  const changed = await trx
    .updateTable("api_key")
    .set({ ...change, version: row.version + 1 })
    .where("id", "=", row.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  const stored = fromDbKey(changed);
  await announce(trx, stored);
  return stored;
}
