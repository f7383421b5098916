import type { Bus } from "@codex/bus";
import { keyReported } from "@codex/contracts";
import { insertOutbox } from "@codex/db";
import { newId } from "@codex/kernel";
import type { Transaction } from "kysely";
import type { KeyReport, StoredKey } from "../app/ports.ts";
import { recordKeyActs } from "./key-acts.ts";
import { revokedNow, update, type Announce } from "./key-rows.ts";
import type { KeyTables } from "./schema.ts";

/** See KeyStore.report. The event has auth tell the owner: nobody else has the address. */
export async function reportKey(
  trx: Transaction<KeyTables>,
  announce: Announce,
  encode: Bus["encode"],
  { hash, via, foundAt }: KeyReport,
): Promise<StoredKey | undefined> {
  const row = await trx
    .selectFrom("api_key")
    .selectAll()
    .where("hash", "=", Buffer.from(hash, "hex"))
    .where("status", "=", "active")
    .forUpdate()
    .executeTakeFirst();
  if (!row) return undefined;
  const revoked = await update(trx, announce, row, revokedNow);
  const { keyId, accountId, displayPrefix: prefix, revokedAt } = revoked;
  const at = (revokedAt ?? new Date()).toISOString();
  const data = { keyId, accountId, prefix, via, foundAt, at };
  await insertOutbox(trx, [encode(keyReported, { id: newId("evt"), params: { keyId }, data })]);
  await recordKeyActs(trx, [{ action: "key_reported", keyId, accountId, actorId: null, details: { via, foundAt } }]);
  return revoked;
}
