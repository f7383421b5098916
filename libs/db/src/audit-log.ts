import { createHash } from "node:crypto";
import { sql, type ColumnType, type Kysely, type Transaction } from "kysely";
import type { Migration } from "./migration.ts";
import type { Db } from "./pool.ts";

/**
 * The audit log of a service: who did what to whose object, append-only, as a chain (SEC-147; ADR 0022).
 *
 * Glossary
 *   act      one line. It holds ids and settings, never a secret and never what a request was about
 *   chain    each line's hash covers the line and the hash before it, so that a line that is changed, taken out or put in
 *            between shows at every line after it. Whoever keeps one hash elsewhere can prove all before it
 *   actor    who did it: the owner of the account, an operator, or null for the service itself and whoever has the machine
 *
 * The database makes the chain, in a trigger: so it is the same for lines that are written here, by a function in SQL, and by
 * a replica of another version. It is read back and computed again here.
 */

/** Kysely row type; a service names it `audit_act` in its tables. The trigger gives `seq` and the hashes. */
export interface AuditActTable {
  readonly seq: ColumnType<bigint, never, never>;
  readonly id: string;
  readonly actor_id: string | null;
  readonly action: string;
  readonly account_id: string | null;
  readonly target: string | null;
  readonly reason: string | null;
  readonly details: ColumnType<Readonly<Record<string, unknown>>, string, never>;
  readonly at: ColumnType<Date, Date | undefined, never>;
  readonly previous_hash: ColumnType<Buffer, never, never>;
  readonly hash: ColumnType<Buffer, never, never>;
}

const createAuditLog = `
create table audit_act (
  seq bigint primary key check (seq > 0),
  id uuid not null unique,
  actor_id uuid,
  action text not null check (char_length(action) between 1 and 64),
  account_id uuid,
  target text check (char_length(target) between 1 and 200),
  reason text check (char_length(reason) <= 2000),
  details jsonb not null default '{}' check (jsonb_typeof(details) = 'object' and octet_length(details::text) <= 524288),
  at timestamptz not null,
  previous_hash bytea not null check (octet_length(previous_hash) = 32),
  hash bytea not null check (octet_length(hash) = 32)
);
create index audit_act_account on audit_act (account_id, seq desc);
create index audit_act_actor on audit_act (actor_id, seq desc);
create index audit_act_action on audit_act (action, seq desc);
create index audit_act_at on audit_act (at);

-- Each field with its length in front, so that no two lines have the same text.
create function audit_field(p_field text) returns text language sql immutable parallel safe as $$
  select case when p_field is null then '-' else octet_length(p_field) || ':' || p_field end
$$;

-- As kernel's uuidToId writes it: TypeID, https://github.com/jetify-com/typeid (spec 0.3).
create function audit_public_id(p_prefix text, p_id uuid) returns text language sql immutable parallel safe as $$
  select p_prefix || '_' || string_agg(
    substr('0123456789abcdefghjkmnpqrstvwxyz', substring(bits from digit * 5 + 1 for 5)::integer + 1, 1), '' order by digit)
  from (select B'00' || ('x' || replace(p_id::text, '-', ''))::bit(128) as bits) as id, generate_series(0, 25) as digit
$$;

-- Names are qualified by the table's own schema: a temporary table of the same name must not stand in for it.
create function audit_chain() returns trigger language plpgsql set search_path from current as $$
declare
  v_seq bigint;
  v_hash bytea;
begin
  -- One writer at a time, to the end of its transaction.
  perform pg_advisory_xact_lock(hashtextextended(tg_table_schema || '.audit_act', 0));
  execute format('select seq, hash from %I.audit_act order by seq desc limit 1', tg_table_schema) into v_seq, v_hash;
  new.seq := coalesce(v_seq, 0) + 1;
  new.previous_hash := coalesce(v_hash, decode(repeat('00', 32), 'hex'));
  new.at := date_trunc('milliseconds', coalesce(new.at, clock_timestamp()));
  new.hash := sha256(new.previous_hash || convert_to(
    audit_field(new.seq::text) || audit_field(new.id::text) || audit_field(new.actor_id::text) || audit_field(new.action)
      || audit_field(new.account_id::text) || audit_field(new.target) || audit_field(new.reason)
      || audit_field(new.details::text)
      || audit_field(to_char(new.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), 'UTF8'));
  return new;
end $$;
create trigger audit_act_chain before insert on audit_act for each row execute function audit_chain();

create function refuse_audit_change() returns trigger language plpgsql as $$
begin
  raise exception 'audit_act is append-only: % refused', lower(tg_op) using errcode = 'restrict_violation';
end $$;
create trigger audit_act_append_only before update or delete or truncate on audit_act
  for each statement execute function refuse_audit_change();
do $$
declare v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role <> '' then execute format('revoke update, delete, truncate on audit_act from %I', v_role); end if;
end $$;
`;

/** The log of a service, added to its migrations under a name of its own; `more` is SQL that follows it, such as lines of before. */
export const auditLogMigration = (name: string, more = ""): Migration => ({
  name,
  up: createAuditLog + more,
  additive: true,
});

export interface AuditDraft {
  /** UUIDs, as everywhere in a store. */
  readonly id: string;
  readonly actorId: string | null;
  readonly action: string;
  readonly accountId: string | null;
  /** The object, as its public id. */
  readonly target: string | null;
  readonly reason?: string | null;
  readonly details?: Readonly<Record<string, unknown>>;
  /** Default: the database's now. */
  readonly at?: Date;
}

/**
 * Adds lines within the caller's transaction: what was done and the line about it are there together, or neither is. Call it
 * last: the log has one writer at a time until the transaction ends, and who waits for a row while holding it can deadlock.
 */
export async function recordActs<Tables>(trx: Transaction<Tables>, drafts: readonly AuditDraft[]): Promise<void> {
  for (const { id, actorId, action, accountId, target, reason, details, at } of drafts) {
    await sql`
      insert into audit_act (id, actor_id, action, account_id, target, reason, details, at)
      values (${id}::uuid, ${actorId}::uuid, ${action}, ${accountId}::uuid, ${target}, ${reason ?? null},
        ${JSON.stringify(details ?? {})}::jsonb, ${at ?? null}::timestamptz)`.execute(trx);
  }
}

export interface AuditAct extends Required<AuditDraft> {
  readonly seq: bigint;
  /** SHA-256, 32 bytes. */
  readonly hash: Buffer;
}

export interface AuditFilter {
  readonly accountId?: string | undefined;
  readonly actorId?: string | undefined;
  readonly action?: string | undefined;
  /** Only what somebody else than the owner of the account did. */
  readonly byOthers?: boolean;
  /** Inclusive. */
  readonly since?: Date | undefined;
  /** Exclusive. */
  readonly until?: Date | undefined;
  /** Only lines before this one. */
  readonly beforeSeq?: bigint | undefined;
}

interface AuditRow {
  readonly seq: bigint;
  readonly id: string;
  readonly actor_id: string | null;
  readonly action: string;
  readonly account_id: string | null;
  readonly target: string | null;
  readonly reason: string | null;
  readonly details: Readonly<Record<string, unknown>>;
  readonly at: Date;
  readonly hash: Buffer;
}

/** Newest first, at most `limit`. */
export async function listActs<Tables>(
  db: Db<Tables>,
  filter: AuditFilter,
  limit: number,
): Promise<readonly AuditAct[]> {
  const { accountId, actorId, action, byOthers, since, until, beforeSeq } = filter;
  const conditions = [
    ...(accountId === undefined ? [] : [sql`account_id = ${accountId}::uuid`]),
    ...(actorId === undefined ? [] : [sql`actor_id = ${actorId}::uuid`]),
    ...(action === undefined ? [] : [sql`action = ${action}`]),
    ...(byOthers === true ? [sql`actor_id is distinct from account_id`] : []),
    ...(since === undefined ? [] : [sql`at >= ${since}`]),
    ...(until === undefined ? [] : [sql`at < ${until}`]),
    ...(beforeSeq === undefined ? [] : [sql`seq < ${beforeSeq}`]),
  ];
  const where = conditions.length === 0 ? sql`` : sql`where ${sql.join(conditions, sql` and `)}`;
  const { rows } = await sql<AuditRow>`
    select seq, id, actor_id, action, account_id, target, reason, details, at, hash
    from audit_act ${where} order by seq desc limit ${limit}`.execute(db.kysely);
  return rows.map(({ actor_id: actor, account_id: account, ...row }) => ({
    ...row,
    actorId: actor,
    accountId: account,
  }));
}

/** As it is hashed: every field as the text that the database has for it. */
interface ChainRow {
  readonly seq: bigint;
  readonly fields: readonly (string | null)[];
  readonly previous_hash: Buffer;
  readonly hash: Buffer;
}

const pageMax = 1_000;
const chainStart = Buffer.alloc(32);

export interface ChainState {
  /** Lines read that hold. */
  readonly count: bigint;
  /** The first line that is not as it was written; undefined when the chain holds. */
  readonly broken: bigint | undefined;
  /** Of the last line that holds, in hex: kept elsewhere, it proves that no line before it was taken away later. */
  readonly head: string;
}

/** Reads the whole log from its beginning, in pages and in the memory of one; ends early on `signal`, with what held so far. */
export async function verifyActs<Tables>(db: Db<Tables>, signal?: AbortSignal): Promise<ChainState> {
  let previous: Buffer = chainStart;
  let count = 0n;
  for (;;) {
    const rows = await chainRows(db.kysely, count);
    for (const row of rows) {
      // eslint-disable-next-line security/constant-time -- the hashes of a chain are told to everybody who may read it.
      const fits = row.seq === count + 1n && row.previous_hash.equals(previous);
      // eslint-disable-next-line security/constant-time -- the same.
      if (!fits || !row.hash.equals(hashOf(previous, row.fields))) {
        return { count, broken: count + 1n, head: previous.toString("hex") };
      }
      previous = row.hash;
      count = row.seq;
    }
    if (rows.length < pageMax || signal?.aborted === true)
      return { count, broken: undefined, head: previous.toString("hex") };
  }
}

async function chainRows<Tables>(kysely: Kysely<Tables>, after: bigint): Promise<readonly ChainRow[]> {
  const { rows } = await sql<ChainRow>`
    select seq, previous_hash, hash, array[seq::text, id::text, actor_id::text, action, account_id::text, target, reason,
      details::text, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')] as fields
    from audit_act where seq > ${after} order by seq limit ${pageMax}`.execute(kysely);
  return rows;
}

function hashOf(previous: Buffer, fields: readonly (string | null)[]): Buffer {
  const text = fields.map((field) => (field === null ? "-" : `${String(Buffer.byteLength(field))}:${field}`)).join("");
  return createHash("sha256").update(previous).update(text, "utf8").digest();
}
