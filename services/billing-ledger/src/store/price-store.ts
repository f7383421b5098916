import type { PriceBook } from "@codex/contracts";
import type { Db } from "@codex/db";
import { idToUuid, uuidToId } from "@codex/kernel";
import { sql } from "kysely";
import type { PriceStore } from "../app/ports.ts";
import type { PriceGroupStore, PriceVersionId, PriceVersionStore } from "../app/price-ports.ts";
import { fromDbGroups, fromDbPriceRow } from "./price-mapping.ts";
import { createVersion, listVersions } from "./price-versions.ts";
import type { Tables } from "./schema.ts";

/** Books kept in memory; versions are immutable, so an entry is never wrong, only old. */
const booksMax = 64;

export function createPriceStore(db: Db<Tables>): PriceVersionStore & PriceGroupStore {
  return {
    currentVersion: () => currentVersion(db),
    nextVersion: () => nextVersion(db),
    byVersion: keepBooks((version) => readBook(db, version)),
    supersededAt: keepSuccessors((version) => readSuccessor(db, version)),
    create: (draft) => createVersion(db, draft),
    list: (limit, before) => listVersions(db, { limit, before }),
    head: async (version) => (await listVersions(db, { limit: 1, only: version }))[0],
    cancel: async (version, actor, reason) => {
      const { rows } = await sql<{ outcome: "cancelled" | "in_force" | "missing" }>`
        select cancel_price_version(${idToUuid(version)}::uuid, ${idToUuid(actor)}::uuid, ${reason}) as outcome
      `.execute(db.kysely);
      return rows[0]?.outcome ?? "missing";
    },
    setGroup: async (accountId, group, actor, reason) => {
      const { rows } = await sql<{ before: string }>`
        select set_price_group(${idToUuid(accountId)}::uuid, ${group}, ${idToUuid(actor)}::uuid, ${reason}) as before
      `.execute(db.kysely);
      return rows[0]?.before ?? group;
    },
  };
}

function keepBooks(read: PriceStore["byVersion"]): PriceStore["byVersion"] {
  const books = new Map<PriceVersionId, PriceBook>();
  return async (version) => {
    const known = books.get(version);
    if (known) return known;
    const book = await read(version);
    // An unknown version is asked for again next time: it may be on its way.
    if (!book) return undefined;
    const oldest = books.keys().next();
    if (books.size >= booksMax && oldest.done !== true) books.delete(oldest.value);
    books.set(version, book);
    return book;
  };
}

/** How long "in force" is believed: far below any tolerance, far above the time between two batches. */
const inForceMs = 1_000;

/** A successor that has taken effect stays the successor: nothing can be put before it any more. */
function keepSuccessors(read: PriceVersionStore["supersededAt"]): PriceVersionStore["supersededAt"] {
  const known = new Map<PriceVersionId, { readonly at: Date | undefined; readonly askedMs: number }>();
  return async (version) => {
    const last = known.get(version);
    if (last && (last.at !== undefined || performance.now() - last.askedMs < inForceMs)) return last.at;
    const at = await read(version);
    if (known.size >= booksMax) known.clear();
    known.set(version, { at, askedMs: performance.now() });
    return at;
  };
}

async function currentVersion(db: Db<Tables>): Promise<PriceVersionId | undefined> {
  const row = await db.kysely
    .selectFrom("live_price_version")
    .select("id")
    .where("effective_at", "<=", sql<Date>`now()`)
    .orderBy("effective_at", "desc")
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  return row ? uuidToId("prc", row.id) : undefined;
}

async function nextVersion(db: Db<Tables>): Promise<PriceVersionId | undefined> {
  // Of several at the same time the last one made wins, as it does once they are in force.
  const row = await db.kysely
    .selectFrom("live_price_version")
    .select("id")
    .where("effective_at", ">", sql<Date>`now()`)
    .orderBy("effective_at")
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  return row ? uuidToId("prc", row.id) : undefined;
}

async function readSuccessor(db: Db<Tables>, version: PriceVersionId): Promise<Date | undefined> {
  const { rows } = await sql<{ at: Date | null }>`
    select min(next.effective_at) as at
    from price_version this
    join live_price_version next on (next.effective_at, next.id) > (this.effective_at, this.id)
    where this.id = ${idToUuid(version)}::uuid and next.effective_at <= now()
  `.execute(db.kysely);
  return rows[0]?.at ?? undefined;
}

async function readBook(db: Db<Tables>, version: PriceVersionId): Promise<PriceBook | undefined> {
  const head = await db.kysely
    .selectFrom("price_version")
    .select(["effective_at", "groups"])
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
    groups: fromDbGroups(head.groups),
  };
}
