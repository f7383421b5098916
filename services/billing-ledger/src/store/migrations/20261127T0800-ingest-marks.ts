/**
 * What was booked of the usage stream, in a form that a reader can check. A floor is a number, and a server that lost the end of
 * its stream gives the same numbers to new messages; a message at its number with the time at which the stream took it is the
 * message that was booked, and everything before it is as it was. A reader that has just started compares these with what
 * stands now, and reads on behind the newest that does, where it had to read the whole stream again.
 *
 * The function with three arguments stays for the version before, which knows no marks.
 */
export const ingestMarks = `
create table ingest_mark (
  partition smallint check (partition between 0 and 15),
  seq bigint check (seq > 0),
  stream_created timestamptz not null,
  -- milliseconds since 1970, as the server of the stream says it
  stored_at bigint not null,
  primary key (partition, seq)
);

-- Marks of what is booked, one an element. Half an hour of them is kept: NATS writes its files through every two minutes.
create function keep_ingest_marks(p_partitions smallint[], p_created timestamptz[], p_seqs bigint[], p_stored_at bigint[])
returns void
language sql security definer set search_path = billing, pg_temp as $$
  delete from ingest_mark
    where partition = any (p_partitions) and stored_at < floor(extract(epoch from now()) * 1000) - 1800000;
  insert into ingest_mark (partition, stream_created, seq, stored_at)
    select m.partition, m.created, m.seq, m.stored_at
    from unnest(p_partitions, p_created, p_seqs, p_stored_at) as m(partition, created, seq, stored_at)
    -- Of what is booked: a mark that comes late, behind the beginning of another reader, must not say more than that one knows.
    join ingest_position p on p.partition = m.partition and p.stream_created = m.created and p.floor >= m.seq
    on conflict (partition, seq) do update set stream_created = excluded.stream_created, stored_at = excluded.stored_at
$$;

-- A writer begins: answers its term and the number after which it reads. p_standing: the newest booked message that stands where it
-- stood, 0 when none is known. A stream that was made anew is read from its beginning, one that has lost its end from
-- what stands; what is booked already is absorbed.
create function begin_ingest(p_partition smallint, p_stream_created timestamptz, p_last_seq bigint, p_standing bigint)
returns table (term bigint, floor bigint)
language plpgsql security definer set search_path = billing, pg_temp as $$
#variable_conflict use_column
begin
  insert into ingest_position as p (partition, stream_created, term) values (p_partition, p_stream_created, 1)
    on conflict (partition) do update set
      term = p.term + 1,
      floor = case
        when p.stream_created <> p_stream_created then 0
        when p.floor <= p_last_seq then p.floor
        else least(p.floor, p_standing)
      end,
      stream_created = p_stream_created, updated_at = now()
    returning p.term, p.floor into term, floor;
  -- What they say is not so any more.
  delete from ingest_mark m
    where m.partition = p_partition and (m.seq > begin_ingest.floor or m.stream_created <> p_stream_created);
  return next;
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke insert, update, delete, truncate on table ingest_mark from %I', v_role);
end $$;
`;
