/**
 * The chain of sealed days. A day's seal covers all of its transfers, entries, usage lines and money commands; each seal covers
 * the one before, so a row that is altered, added or removed later shows, and a forged chain differs from a copy that was kept
 * outside (docs/adr/0011).
 *
 *   digest = sha256 of the text `<day>\n` and, for commands, entries, transfers, usage: `<part> <rows> <sha256 hex>\n`
 *   hash   = sha256(previous_hash ‖ digest); the first previous_hash is 32 zero bytes
 *
 * put_seal takes the next day only, and checks the arithmetic, so that the service's role cannot write what does not fit.
 */
export const ledgerSeal = `
create table ledger_seal (
  day date primary key,
  previous_hash bytea not null check (length(previous_hash) = 32),
  digest bytea not null check (length(digest) = 32),
  hash bytea not null check (length(hash) = 32),
  commands bigint not null,
  entries bigint not null,
  transfers bigint not null,
  usage_rows bigint not null,
  commands_digest bytea not null check (length(commands_digest) = 32),
  entries_digest bytea not null check (length(entries_digest) = 32),
  transfers_digest bytea not null check (length(transfers_digest) = 32),
  usage_digest bytea not null check (length(usage_digest) = 32),
  sealed_at timestamptz not null default now(),
  constraint ledger_seal_hash check (hash = sha256(previous_hash || digest)),
  constraint ledger_seal_digest check (digest = sha256(convert_to(
    (day - date '1970-01-01')::text || E'\\n' ||
    'commands ' || commands::text || ' ' || encode(commands_digest, 'hex') || E'\\n' ||
    'entries ' || entries::text || ' ' || encode(entries_digest, 'hex') || E'\\n' ||
    'transfers ' || transfers::text || ' ' || encode(transfers_digest, 'hex') || E'\\n' ||
    'usage ' || usage_rows::text || ' ' || encode(usage_digest, 'hex') || E'\\n', 'UTF8')))
);
create trigger ledger_seal_append_only before update or delete or truncate on ledger_seal
  for each statement execute function refuse_change();

-- The day that comes next and is surely over: every transaction that could still write into it has ended. Null when none is.
-- A transaction of a role that we may not see has the grace to end; should it be slower, its rows are found by the next audit.
create function next_seal_day(p_grace_ms bigint) returns date
language plpgsql stable set search_path = billing, pg_temp as $$
declare
  v_day date;
  v_end timestamptz;
begin
  select max(day) + 1 into v_day from ledger_seal;
  if v_day is null then
    select (min(at) at time zone 'utc')::date into v_day from (
      select min(created_at) as at from transfer union all select min(created_at) from ingest_batch
      union all select min(created_at) from money_command
    ) firsts;
  end if;
  v_end := (v_day + 1)::timestamp at time zone 'utc';
  if v_day is null or now() < v_end + p_grace_ms * interval '1 millisecond'
    or exists (select from pg_stat_activity where datname = current_database() and xact_start < v_end)
    or exists (select from pg_prepared_xacts where database = current_database() and prepared < v_end) then
    return null;
  end if;
  return v_day;
end $$;

-- False when another replica was faster.
create function put_seal(
  p_day date, p_digest bytea, p_commands bigint, p_commands_digest bytea, p_entries bigint, p_entries_digest bytea,
  p_transfers bigint, p_transfers_digest bytea, p_usage bigint, p_usage_digest bytea
) returns boolean
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_last ledger_seal;
  v_previous bytea;
begin
  perform pg_advisory_xact_lock(hashtextextended('billing.ledger_seal', 0));
  select * into v_last from ledger_seal order by day desc limit 1;
  if v_last.day >= p_day then return false; end if;
  if p_day <> v_last.day + 1 or now() < (p_day + 1)::timestamp at time zone 'utc' then
    raise exception 'day % is not the next one to be sealed', p_day using errcode = 'invalid_parameter_value';
  end if;
  v_previous := coalesce(v_last.hash, decode(repeat('00', 32), 'hex'));
  insert into ledger_seal (day, previous_hash, digest, hash, commands, commands_digest, entries, entries_digest, transfers,
      transfers_digest, usage_rows, usage_digest)
    values (p_day, v_previous, p_digest, sha256(v_previous || p_digest), p_commands, p_commands_digest, p_entries,
      p_entries_digest, p_transfers, p_transfers_digest, p_usage, p_usage_digest);
  return true;
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke insert, update, delete, truncate on table ledger_seal from %I', v_role);
end $$;
`;
