/**
 * How far the usage stream is committed, beside what it booked; and which balances still have to be told about.
 *
 * Glossary
 *   floor         every message of the partition up to this number of the stream is committed (or in quarantine)
 *   incarnation   when the stream was created: numbers of another incarnation mean nothing
 *   term          grows whenever a writer begins; the batch of an earlier writer is refused, so a partition has one writer
 *                 whatever its locks and its clock say
 *   balance_dirty one row a batch: accounts whose balance changed and has not been published since
 */
export const ingestPosition = `
create table ingest_position (
  partition smallint primary key check (partition between 0 and 15),
  stream_created timestamptz not null,
  floor bigint not null default 0 check (floor >= 0),
  term bigint not null default 0,
  updated_at timestamptz not null default now()
) with (fillfactor = 60);

create table balance_dirty (
  id bigint generated always as identity primary key,
  account_nos integer[] not null
);
alter table balance_dirty alter column account_nos set storage external;

-- A writer begins: answers its term and the number after which it reads. A stream that was made anew or has lost its end is
-- read from its beginning; what is booked already is absorbed.
create function begin_ingest(p_partition smallint, p_stream_created timestamptz, p_last_seq bigint)
returns table (term bigint, floor bigint)
language sql security definer set search_path = billing, pg_temp as $$
  insert into ingest_position as p (partition, stream_created, term) values (p_partition, p_stream_created, 1)
    on conflict (partition) do update set
      term = p.term + 1,
      floor = case when p.stream_created = p_stream_created and p.floor <= p_last_seq then p.floor else 0 end,
      stream_created = p_stream_created, updated_at = now()
    returning p.term, p.floor
$$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke insert, update, delete, truncate on table ingest_position from %I', v_role);
end $$;
`;
