import { createHash } from "node:crypto";
import type { Db } from "@codex/db";
import { CompiledQuery, sql, type Transaction } from "kysely";
import {
  dayParts,
  type DayContents,
  type DayPart,
  type PartDigest,
  type Seal,
  type SealStore,
} from "../app/seal-ports.ts";
import type { Tables } from "./schema.ts";

/** Rows in memory at once; Postgres sorts on its disk what does not fit its own. */
const pageRows = 5_000;

const micros = (column: string): string => `(extract(epoch from ${column}) * 1000000)::bigint::text`;

const ofDay = (column: string): string =>
  `${column} >= $day::timestamp at time zone 'utc' and ${column} < ($day::date + 1)::timestamp at time zone 'utc'`;

/**
 * The canonical lines of a day: a JSON array of named columns as text, so that a column that comes later changes no old seal,
 * in an order that the rows themselves give. An entry and a usage line belong to the day of their transfer or batch.
 */
const lines: Readonly<Record<DayPart, string>> = {
  commands: `
    select json_build_array(key, encode(input_hash, 'hex'), transfer_id, result::text, ${micros("created_at")})::text as line
    from money_command where ${ofDay("created_at")} order by key collate "C"`,
  transfers: `
    select json_build_array(id, kind, debit_account_id, credit_account_id, amount::text, batch_id::text, event_count, reason,
      ${micros("created_at")})::text as line
    from transfer where ${ofDay("created_at")} order by id`,
  entries: `
    with batch as materialized (select id from ingest_batch where ${ofDay("created_at")}),
    command as materialized (select id from transfer where batch_id is null and ${ofDay("created_at")})
    select json_build_array(ledger_account_id, version::text, amount::text, balance_after::text, transfer_id, batch_id::text)::text as line
    from (
      select * from entry where batch_id between (select min(id) from batch) and (select max(id) from batch)
        and batch_id in (select id from batch)
      union all
      select * from entry where batch_id is null and transfer_id >= (select id from command order by id limit 1)
        and transfer_id <= (select id from command order by id desc limit 1) and transfer_id in (select id from command)
    ) e order by ledger_account_id, version`,
  usage: `
    with batch as materialized (select id from ingest_batch where ${ofDay("created_at")})
    select json_build_array(epoch::text, partition, seq::text, batch_id::text, account_id, lease_id, request_id, key_id,
      price_version, model, status, tokens_input::text, tokens_cached_input::text, tokens_cache_write::text,
      tokens_output::text, tokens_reasoning::text, hold::text, cost::text, charged::text, ${micros("started_at")})::text as line
    from usage_line
    where batch_id between (select min(id) from batch) and (select max(id) from batch) and batch_id in (select id from batch)
    order by epoch, partition, seq`,
};

interface SealRow {
  day: string;
  previous_hash: Buffer;
  digest: Buffer;
  hash: Buffer;
  commands: bigint;
  entries: bigint;
  transfers: bigint;
  usage_rows: bigint;
  commands_digest: Buffer;
  entries_digest: Buffer;
  transfers_digest: Buffer;
  usage_digest: Buffer;
  sealed_at: Date;
}

export function createSealStore(db: Db<Tables>): SealStore {
  return {
    nextDay: async (graceMs) => {
      const { rows } = await sql<{ day: string | null }>`select next_seal_day(${graceMs}::bigint) as day`.execute(
        db.kysely,
      );
      return rows[0]?.day ?? undefined;
    },
    contents: (day) => readContents(db, day),
    put: (day, digest, contents) => put(db, day, digest, contents),
    all: async (from = "-infinity") => {
      const { rows } = await sql<SealRow>`select * from ledger_seal where day >= ${from}::date order by day`.execute(
        db.kysely,
      );
      return rows.map((row) => fromDbSeal(row));
    },
    archivedSince: async (day) => {
      const { rows } = await sql<{ found: boolean }>`
        select exists (select from gateway_epoch where archived_at >= ${day}::timestamp at time zone 'utc') as found`.execute(
        db.kysely,
      );
      return rows[0]?.found === true;
    },
  };
}

async function readContents(db: Db<Tables>, day: string): Promise<DayContents> {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day)) throw new RangeError("a day is like 2026-11-25");
  return db.transaction(
    async (trx) => {
      await sql`set transaction read only`.execute(trx);
      const parts: [DayPart, PartDigest][] = [];
      for (const part of dayParts) parts.push([part, await readPart(trx, lines[part].replaceAll("$day", `'${day}'`))]);
      return Object.fromEntries(parts) as DayContents;
    },
    { isolation: "repeatable read" },
  );
}

async function readPart(trx: Transaction<Tables>, text: string): Promise<PartDigest> {
  const hash = createHash("sha256");
  let rows = 0;
  // eslint-disable-next-line security/parameterised-sql -- a cursor takes no parameters; the text is of our own list, the day a date of the database.
  await trx.executeQuery(CompiledQuery.raw(`declare day_lines no scroll cursor for ${text}`));
  for (;;) {
    const page = await trx.executeQuery<{ line: string }>(
      CompiledQuery.raw(`fetch ${String(pageRows)} from day_lines`),
    );
    for (const { line } of page.rows) hash.update(`${line}\n`);
    rows += page.rows.length;
    if (page.rows.length < pageRows) break;
  }
  await trx.executeQuery(CompiledQuery.raw("close day_lines"));
  return { rows, digest: hash.digest("hex") };
}

async function put(db: Db<Tables>, day: string, digest: string, contents: DayContents): Promise<boolean> {
  const { commands, entries, transfers, usage } = contents;
  const bytes = (hex: string): Buffer => Buffer.from(hex, "hex");
  const { rows } = await sql<{ put: boolean }>`
    select put_seal(${day}::date, ${bytes(digest)}::bytea, ${commands.rows}::bigint, ${bytes(commands.digest)}::bytea,
      ${entries.rows}::bigint, ${bytes(entries.digest)}::bytea, ${transfers.rows}::bigint, ${bytes(transfers.digest)}::bytea,
      ${usage.rows}::bigint, ${bytes(usage.digest)}::bytea) as put`.execute(db.kysely);
  return rows[0]?.put === true;
}

function fromDbSeal(row: SealRow): Seal {
  const part = (rows: bigint, digest: Buffer): PartDigest => ({ rows: Number(rows), digest: digest.toString("hex") });
  return {
    day: row.day,
    previousHash: row.previous_hash.toString("hex"),
    digest: row.digest.toString("hex"),
    hash: row.hash.toString("hex"),
    contents: {
      commands: part(row.commands, row.commands_digest),
      entries: part(row.entries, row.entries_digest),
      transfers: part(row.transfers, row.transfers_digest),
      usage: part(row.usage_rows, row.usage_digest),
    },
    sealedAt: row.sealed_at.toISOString(),
  };
}
