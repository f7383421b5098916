/**
 * What the auditor keeps, and what lets it look at the last minutes without reading the whole book.
 *
 * The indexes are BRIN: a few pages for a table of any size, next to nothing for a writer, and exact enough because these
 * tables only grow at their end.
 *
 * Glossary
 *   audit_run     one audit: what it looked at, where the next one starts, which checks failed and the first rows that broke
 *                 them; append-only
 *   spool_record  every record of every spool, usage and lease-close alike; the auditor's one sight of how they are stored
 */
export const auditor = `
create table audit_run (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  mode text not null check (mode in ('incremental', 'full')),
  since timestamptz,
  position timestamptz not null,
  took_ms bigint not null check (took_ms >= 0),
  broken text[] not null,
  findings jsonb not null
);
create index audit_run_clean on audit_run (mode, id desc) where broken = '{}';
create trigger audit_run_append_only before update or delete or truncate on audit_run
  for each statement execute function refuse_change();

create index transfer_written on transfer using brin (created_at) with (pages_per_range = 32);
create index ingest_batch_written on ingest_batch using brin (created_at) with (pages_per_range = 32);
create index money_command_written on money_command using brin (created_at) with (pages_per_range = 32);
create index entry_written on entry using brin (batch_id, transfer_id) with (pages_per_range = 32);

create index usage_row_written on usage_row using brin (batch_id) with (pages_per_range = 32);

create view spool_record as
  select stream, stream >> 4 as epoch, (stream & 15)::smallint as partition, seq, batch_id from usage_row;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke update, delete, truncate on table audit_run from %I', v_role);
  execute format('revoke insert, update, delete, truncate on table spool_record from %I', v_role);
end $$;
`;
