import type { Db } from "@codex/db";
import { idToUuid, uuidToId } from "@codex/kernel";
import { sql, type Transaction } from "kysely";
import type { NewPriceVersion, NewPriceVersionOutcome, PriceVersionHead, PriceVersionId } from "../app/price-ports.ts";
import { toDbGroups, toDbPriceRow } from "./price-mapping.ts";
import type { Tables } from "./schema.ts";

/** The insert of one price_row has sixteen parameters; Postgres takes 65,535 a statement. */
const rowsAtOnce = 1_000;

/** Versions being made and told about. */
export async function createVersion(db: Db<Tables>, draft: NewPriceVersion): Promise<NewPriceVersionOutcome> {
  return db.transaction(async (trx) => {
    // One import at a time, so that two equal imports at once make one version, and equal keys meet.
    await sql`select lock_price_versions()`.execute(trx);
    const known = draft.command && (await replay(trx, draft.command));
    if (known) return known;
    const { rows } = await sql<{ at: Date; late: boolean }>`
      select coalesce(${draft.effectiveAt ?? null}::timestamptz, clock_timestamp()) as at,
        ${draft.effectiveAt ?? null}::timestamptz <= clock_timestamp() as late`.execute(trx);
    const at = rows[0]?.at ?? new Date();
    if (rows[0]?.late === true) return { outcome: "too_late" };
    const before = await inForceAt(trx, at);
    // eslint-disable-next-line security/constant-time -- of published prices.
    const same = before?.content_hash.equals(draft.contentHash) === true;
    const version = same ? uuidToId("prc", before.id) : draft.version;
    if (!same) await insertVersion(trx, draft, at);
    if (draft.command) {
      const { key, inputHash } = draft.command;
      await trx
        .insertInto("price_command")
        .values({ key, input_hash: Buffer.from(inputHash), price_version: idToUuid(version), created: !same })
        .execute();
    }
    return {
      outcome: "done",
      version,
      effectiveAt: same ? before.effective_at : at,
      created: !same,
      replayed: false,
    };
  });
}

async function replay(
  trx: Transaction<Tables>,
  command: NonNullable<NewPriceVersion["command"]>,
): Promise<NewPriceVersionOutcome | undefined> {
  const known = await trx
    .selectFrom("price_command")
    .innerJoin("price_version", "price_version.id", "price_command.price_version")
    .select(["input_hash", "price_version", "created", "effective_at"])
    .where("key", "=", command.key)
    .executeTakeFirst();
  if (!known) return undefined;
  // eslint-disable-next-line security/constant-time -- of what an operator sent, by his own key.
  if (!known.input_hash.equals(command.inputHash)) return { outcome: "key_reused" };
  const version = uuidToId("prc", known.price_version);
  return { outcome: "done", version, effectiveAt: known.effective_at, created: known.created, replayed: true };
}

function inForceAt(trx: Transaction<Tables>, at: Date) {
  return trx
    .selectFrom("live_price_version")
    .select(["id", "content_hash", "effective_at"])
    .where("effective_at", "<=", at)
    .orderBy("effective_at", "desc")
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
}

async function insertVersion(trx: Transaction<Tables>, draft: NewPriceVersion, at: Date): Promise<void> {
  const id = idToUuid(draft.version);
  const createdBy = draft.createdBy === undefined ? null : idToUuid(draft.createdBy);
  await sql`insert into price_version (id, effective_at, content_hash, groups, created_by)
    values (${id}::uuid, ${at}::timestamptz, ${Buffer.from(draft.contentHash)}::bytea,
      ${toDbGroups(draft.groups)}::jsonb, ${createdBy}::uuid)`.execute(trx);
  for (let from = 0; from < draft.models.length; from += rowsAtOnce) {
    const rows = draft.models.slice(from, from + rowsAtOnce).map((price) => toDbPriceRow(id, price));
    await trx.insertInto("price_row").values(rows).execute();
  }
}

interface HeadRow {
  readonly id: string;
  readonly effective_at: Date;
  readonly created_at: Date;
  readonly created_by: string | null;
  readonly models: number;
  readonly state: PriceVersionHead["state"];
}

export async function listVersions(
  db: Db<Tables>,
  which: { readonly limit: number; readonly before?: PriceVersionId | undefined; readonly only?: PriceVersionId },
): Promise<readonly PriceVersionHead[]> {
  const before = which.before === undefined ? null : idToUuid(which.before);
  const only = which.only === undefined ? null : idToUuid(which.only);
  const { rows } = await sql<HeadRow>`
    with current as (
      select id from live_price_version where effective_at <= now() order by effective_at desc, id desc limit 1
    )
    select v.id, v.effective_at, v.created_at, v.created_by,
      (select count(*)::integer from price_row r where r.price_version = v.id) as models,
      case
        when exists (select from price_version_cancelled c where c.price_version = v.id) then 'cancelled'
        when v.effective_at > now() then 'scheduled'
        when v.id = (select id from current) then 'in_force'
        else 'superseded'
      end as state
    from price_version v
    where (${only}::uuid is null or v.id = ${only}::uuid)
      and (${before}::uuid is null or (v.effective_at, v.id) < (select b.effective_at, b.id from price_version b where b.id = ${before}::uuid))
    order by v.effective_at desc, v.id desc
    limit ${which.limit}`.execute(db.kysely);
  return rows.map((row) => ({
    version: uuidToId("prc", row.id),
    effectiveAt: row.effective_at,
    createdAt: row.created_at,
    createdBy: row.created_by === null ? null : uuidToId("acc", row.created_by),
    models: row.models,
    state: row.state,
  }));
}
