import { priceBookKv, type PriceBook } from "@codex/contracts";
import type { Db } from "@codex/db";
import { idToUuid, uuidToId } from "@codex/kernel";
import { sql } from "kysely";
import type { PriceStore } from "../app/ports.ts";
import { fromDbPriceRow, toDbPriceRow } from "./mapping.ts";
import type { Tables } from "./schema.ts";

type Version = PriceBook["version"];

/** Books kept in memory; versions are immutable, so an entry is never wrong, only old. */
const booksMax = 64;
/** The insert of one price_row has eleven parameters; Postgres takes 65,535 a statement. */
const rowsAtOnce = 1_000;

export function createPriceStore(db: Db<Tables>): PriceStore {
  const books = new Map<Version, PriceBook>();
  return {
    currentVersion: () => currentVersion(db),
    byVersion: async (version) => {
      const known = books.get(version);
      if (known) return known;
      const book = await readBook(db, version);
      // An unknown version is asked for again next time: it may be on its way.
      if (!book) return undefined;
      const oldest = books.keys().next();
      if (books.size >= booksMax && oldest.done !== true) books.delete(oldest.value);
      books.set(version, book);
      return book;
    },
    create: (version, models, contentHash) => createVersion(db, version, models, contentHash),
  };
}

async function currentVersion(db: Db<Tables>): Promise<Version | undefined> {
  const row = await db.kysely
    .selectFrom("price_version")
    .select("id")
    .where("effective_at", "<=", sql<Date>`now()`)
    .orderBy("effective_at", "desc")
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  return row ? uuidToId("prc", row.id) : undefined;
}

async function readBook(db: Db<Tables>, version: Version): Promise<PriceBook | undefined> {
  const head = await db.kysely
    .selectFrom("price_version")
    .select("effective_at")
    .where("id", "=", idToUuid(version))
    .executeTakeFirst();
  if (!head) return undefined;
  const rows = await db.kysely
    .selectFrom("price_row")
    .selectAll()
    .where("price_version", "=", idToUuid(version))
    .orderBy("model")
    .execute();
  return {
    version,
    effectiveAt: head.effective_at.toISOString(),
    models: rows.map((row) => fromDbPriceRow(row)),
    groups: [],
  };
}

async function createVersion(
  db: Db<Tables>,
  version: Version,
  models: PriceBook["models"],
  contentHash: Uint8Array,
): ReturnType<PriceStore["create"]> {
  return db.transaction(async (trx) => {
    // One import at a time, so that two equal imports at once make one version.
    await sql`select pg_advisory_xact_lock(hashtextextended(${`${db.schema}.${priceBookKv.bucket}`}, 0))`.execute(trx);
    const current = await trx
      .selectFrom("price_version")
      .select(["id", "content_hash"])
      .where("effective_at", "<=", sql<Date>`clock_timestamp()`)
      .orderBy("effective_at", "desc")
      .orderBy("id", "desc")
      .limit(1)
      .executeTakeFirst();
    if (current?.content_hash.equals(contentHash) === true)
      return { version: uuidToId("prc", current.id), created: false };
    const id = idToUuid(version);
    await sql`insert into price_version (id, effective_at, content_hash)
      values (${id}::uuid, clock_timestamp(), ${Buffer.from(contentHash)}::bytea)`.execute(trx);
    for (let from = 0; from < models.length; from += rowsAtOnce) {
      const rows = models.slice(from, from + rowsAtOnce).map((price) => toDbPriceRow(id, price));
      await trx.insertInto("price_row").values(rows).execute();
    }
    return { version, created: true };
  });
}
