/** What the batch function calls: the watermark of a stream, and what capped keys have spent. */
export const batchParts = `
drop function advance_cursor(bigint, smallint);

-- Moves a watermark over everything that is there without a hole. Called under the lock of the partition.
create function advance_cursor(p_epoch bigint, p_partition smallint) returns bigint
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_stream bigint := p_epoch * 16 + p_partition;
  v_from bigint;
  v_to bigint;
  v_step bigint;
begin
  insert into gateway_cursor (epoch, partition) values (p_epoch, p_partition) on conflict do nothing;
  select contiguous into v_from from gateway_cursor where epoch = p_epoch and partition = p_partition for update;
  v_to := v_from;
  -- In steps, so that a healed gap before a million records costs bounded memory; a standing gap costs one look-up.
  while exists (select from usage_row where stream = v_stream and seq = v_to + 1)
     or exists (select from quarantine where epoch = p_epoch and partition = p_partition and seq = v_to + 1)
  loop
    select max(numbered.seq) into v_step
    from (
      select known.seq, row_number() over (order by known.seq) as place
      from (
        (select seq from usage_row where stream = v_stream and seq > v_to order by seq limit 20000)
        union
        (select seq from quarantine where epoch = p_epoch and partition = p_partition and seq > v_to order by seq limit 20000)
      ) known
    ) numbered
    where numbered.seq = v_to + numbered.place;
    v_to := v_step;
  end loop;
  if v_to > v_from then
    update gateway_cursor set contiguous = v_to, updated_at = now() where epoch = p_epoch and partition = p_partition;
  end if;
  return v_to;
end $$;

-- The three windows of each lease's grant; grant_lease made the rows and reserved.
create function settle_key_budgets(p_key uuid[], p_on date[], p_take bigint[], p_freed bigint[]) returns void
language plpgsql security definer set search_path = billing, pg_temp as $$
begin
  with change as (
    select m.key_id, w.period, w.starts_on, sum(m.take)::bigint as take, sum(m.freed)::bigint as freed
    from unnest(p_key, p_on, p_take, p_freed) as m(key_id, on_day, take, freed)
    cross join lateral (values ('day', m.on_day), ('month', date_trunc('month', m.on_day)::date), ('total', date '1970-01-01'))
      as w(period, starts_on)
    where m.key_id is not null
    group by 1, 2, 3
  ), locked as materialized (
    select b.key_id, b.period, b.starts_on from key_budget b
    join change c using (key_id, period, starts_on)
    order by b.key_id, b.period, b.starts_on for update of b
  )
  update key_budget b set spent = b.spent + c.take, reserved = greatest(0, b.reserved - c.take - c.freed)
    from change c join locked using (key_id, period, starts_on)
    where b.key_id = c.key_id and b.period = c.period and b.starts_on = c.starts_on;
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
  v_function text;
begin
  foreach v_function in array array['advance_cursor(bigint, smallint)', 'settle_key_budgets(uuid[], date[], bigint[], bigint[])'] loop
    execute format('revoke execute on function %s from public', v_function);
    if v_role <> '' then execute format('revoke execute on function %s from %I', v_function, v_role); end if;
  end loop;
end $$;
`;
