/**
 * One batch of spool records, one transaction, one call. docs/adr/0003 tells why each step stands where it does.
 *
 * p_records: JSON array of rows shaped like `usage_event` (bigint as text); p_quarantine: rows shaped like `quarantine`.
 * Answer: {inserted, duplicates, quarantined, settled, writtenOff, suspects: [{epoch, seq, payload_hash, reason}],
 * balances: [{account_id, paid, bonus, reserved, version}], chargeMismatches, workerMismatches}; every bigint as text.
 *
 * Safe to call with anything that was applied before, in any order and any grouping. Pitfalls held off here: aggregates of
 * an empty set are NULL (a batch of duplicates returns early), data-modifying CTEs all see the statement's snapshot (each
 * step that must see the one before is its own statement), LEAST passes over NULL (a missing lease would pay in full), no
 * temporary table (11 ms a transaction).
 */
export const createApplyBatch = `
create function advance_cursor(p_epoch bigint, p_partition smallint) returns bigint
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_from bigint;
  v_to bigint;
  v_step bigint;
begin
  insert into gateway_cursor (epoch, partition) values (p_epoch, p_partition) on conflict do nothing;
  select contiguous into v_from from gateway_cursor where epoch = p_epoch and partition = p_partition for update;
  v_to := v_from;
  -- In steps, so that a healed gap before a million records costs bounded memory; a standing gap costs one look-up.
  while exists (select from usage_event where epoch = p_epoch and partition = p_partition and seq = v_to + 1)
     or exists (select from quarantine where epoch = p_epoch and partition = p_partition and seq = v_to + 1)
  loop
    select max(numbered.seq) into v_step
    from (
      select known.seq, row_number() over (order by known.seq) as place
      from (
        (select seq from usage_event where epoch = p_epoch and partition = p_partition and seq > v_to order by seq limit 20000)
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

create function apply_batch(
  p_partition smallint, p_records json, p_quarantine json, p_first_stream_seq bigint, p_last_stream_seq bigint
) returns json
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_batch bigint := nextval(pg_get_serial_sequence('billing.ingest_batch', 'id'));
  v_total integer := json_array_length(p_records);
  v_inserted integer;
  v_quarantined integer;
  v_suspects json := '[]';
  v_epochs bigint[];
  v_quarantined_epochs bigint[];
  v_contiguous bigint[] := '{}';
  v_epoch bigint;
  v_min_seq bigint;
  v_max_seq bigint;
  -- one element a (lease, account) pair with new usage
  v_use_lease uuid[];
  v_use_account uuid[];
  v_use_amount bigint[];
  v_use_events integer[];
  v_use_take bigint[];
  -- one element a new LEASE_CLOSE
  v_close_lease uuid[];
  v_close_account uuid[];
  v_close_epoch bigint[];
  v_close_seq bigint[];
  v_close_settled bigint[];
  -- leases that may be freed now, and what they free, by account
  v_ripe_lease uuid[];
  v_ripe_account uuid[];
  v_freed_account uuid[];
  v_freed_amount bigint[];
  v_mismatches integer := 0;
  v_charge_mismatches integer := 0;
  v_settled bigint := 0;
  v_written_off bigint := 0;
  v_balances json := '[]';
  v_revenue uuid;
  v_write_off uuid;
  v_transfer uuid;
begin
  -- 1. What could not be parsed or priced is kept aside; it counts into the watermark so that it blocks nobody.
  with stored as (
    insert into quarantine (epoch, partition, seq, payload_hash, reason, error, raw, stream_seq)
      select epoch, p_partition, seq, payload_hash, reason, error, raw, stream_seq
      from json_populate_recordset(null::quarantine, p_quarantine) order by epoch, seq, payload_hash
      on conflict do nothing returning epoch
  )
  select count(*), coalesce(array_agg(distinct s.epoch) filter (where g.epoch is not null), '{}')
    into v_quarantined, v_quarantined_epochs
    from stored s left join gateway_epoch g on g.epoch = s.epoch;

  -- 2. Insert, which is the dedupe. No lock on any balance yet, so hot rows are held for the tail alone.
  with inserted as (
    insert into usage_event (
      epoch, seq, partition, payload_hash, batch_id, account_id, lease_id, request_id, key_id, price_version, started_at,
      duration_ms, first_byte_ms, tokens_input, tokens_cached_input, tokens_cache_write, tokens_output, tokens_reasoning,
      hold, cost, charged, lease_settled, route, model, channel, status, error_code, http_status, streamed, estimated,
      charge_mismatch)
    select
      r.epoch, r.seq, p_partition, r.payload_hash, v_batch, r.account_id, r.lease_id, r.request_id, r.key_id,
      r.price_version, r.started_at, r.duration_ms, r.first_byte_ms, r.tokens_input, r.tokens_cached_input,
      r.tokens_cache_write, r.tokens_output, r.tokens_reasoning, r.hold, r.cost, r.cost, r.lease_settled, r.route, r.model,
      r.channel, r.status, r.error_code, r.http_status, r.streamed, r.estimated, coalesce(r.charge_mismatch, false)
    from json_populate_recordset(null::usage_event, p_records) r
    join gateway_epoch g on g.epoch = r.epoch and g.archived_at is null
    where not exists (
      select from quarantine q
      where q.epoch = r.epoch and q.partition = p_partition and q.seq = r.seq and q.resolved_at is null)
    order by r.epoch, r.seq
    on conflict do nothing
    returning epoch, seq, account_id, lease_id, request_id, cost, lease_settled, charge_mismatch
  ), used as (
    select lease_id, account_id, sum(cost)::bigint as amount, count(*)::integer as events
    from inserted where request_id is not null group by lease_id, account_id
  ), closing as (
    select distinct on (lease_id) lease_id, account_id, epoch, seq, lease_settled
    from inserted where request_id is null order by lease_id, seq
  )
  select
    (select count(*) from inserted), (select array_agg(distinct epoch) from inserted),
    (select min(seq) from inserted), (select max(seq) from inserted),
    (select count(*) from inserted where charge_mismatch),
    u.leases, u.accounts, u.amounts, u.events, c.leases, c.accounts, c.epochs, c.seqs, c.settled
  into v_inserted, v_epochs, v_min_seq, v_max_seq, v_charge_mismatches,
    v_use_lease, v_use_account, v_use_amount, v_use_events,
    v_close_lease, v_close_account, v_close_epoch, v_close_seq, v_close_settled
  from
    (select coalesce(array_agg(lease_id), '{}') as leases, coalesce(array_agg(account_id), '{}') as accounts,
            coalesce(array_agg(amount), '{}') as amounts, coalesce(array_agg(events), '{}') as events from used) u,
    (select coalesce(array_agg(lease_id), '{}') as leases, coalesce(array_agg(account_id), '{}') as accounts,
            coalesce(array_agg(epoch), '{}') as epochs, coalesce(array_agg(seq), '{}') as seqs,
            coalesce(array_agg(lease_settled), '{}') as settled from closing) c;

  -- 3. Not inserted and not a plain repeat: another payload under a known number, or an epoch that is not ours or is gone.
  if v_inserted < v_total then
    select coalesce(json_agg(json_build_object(
        'epoch', s.epoch::text, 'seq', s.seq::text, 'payload_hash', s.payload_hash::text, 'reason', s.reason)), '[]')
      into v_suspects
      from (
        select r.epoch, r.seq, r.payload_hash,
          case
            when g.epoch is null then 'unknown_epoch'
            when g.archived_at is not null and r.seq > coalesce(c.contiguous, 0) then 'archived_epoch'
            when u.payload_hash <> r.payload_hash then 'conflict'
          end as reason
        from json_populate_recordset(null::usage_event, p_records) r
        left join gateway_epoch g on g.epoch = r.epoch
        left join gateway_cursor c on c.epoch = r.epoch and c.partition = p_partition
        left join usage_event u on u.epoch = r.epoch and u.partition = p_partition and u.seq = r.seq
      ) s
      where s.reason is not null;
  end if;

  if v_inserted + v_quarantined = 0 then
    return json_build_object('inserted', 0, 'duplicates', v_total - json_array_length(v_suspects), 'quarantined', 0,
      'settled', '0', 'writtenOff', '0', 'suspects', v_suspects, 'balances', v_balances,
      'chargeMismatches', 0, 'workerMismatches', 0);
  end if;

  -- 4. Watermarks, in epoch order.
  select coalesce(array_agg(e order by e), '{}') into v_epochs
    from (select distinct e from unnest(coalesce(v_epochs, '{}') || v_quarantined_epochs) e) known;
  foreach v_epoch in array v_epochs loop
    v_contiguous := v_contiguous || advance_cursor(v_epoch, p_partition);
  end loop;

  -- 5. Leases whose LEASE_CLOSE the watermark has now reached; read without locks, decided again under them.
  select coalesce(array_agg(lease_id), '{}'), coalesce(array_agg(account_id), '{}') into v_ripe_lease, v_ripe_account
    from (
      select l.id as lease_id, l.account_id
      from unnest(v_epochs, v_contiguous) as w(epoch, contiguous)
      join lease l on l.epoch = w.epoch and l.partition = p_partition and l.state = 'closing' and l.close_seq <= w.contiguous
      union
      select c.lease_id, c.account_id
      from unnest(v_close_lease, v_close_account, v_close_epoch, v_close_seq) as c(lease_id, account_id, epoch, seq)
      join unnest(v_epochs, v_contiguous) as w(epoch, contiguous) on w.epoch = c.epoch and c.seq <= w.contiguous
    ) ripe;

  -- 6. Locks, in the one order.
  perform 1 from balance where account_id = any (v_use_account || v_close_account || v_ripe_account)
    order by account_id for update;
  perform 1 from lease where id = any (v_use_lease || v_close_lease || v_ripe_lease) order by id for update;

  -- 7. Settle: never more than the lease still holds; the rest, and anything on a closed or foreign lease, is written off.
  select coalesce(array_agg(t.take order by t.place), '{}'), coalesce(sum(t.take), 0), coalesce(sum(t.amount - t.take), 0)
    into v_use_take, v_settled, v_written_off
    from (
      select u.place, u.amount, case when l.id is null then 0 else least(u.amount, l.granted - l.settled) end as take
      from unnest(v_use_lease, v_use_account, v_use_amount) with ordinality as u(lease_id, account_id, amount, place)
      left join lease l on l.id = u.lease_id and l.account_id = u.account_id and l.state in ('open', 'closing')
    ) t;
  update lease l set settled = l.settled + u.take
    from unnest(v_use_lease, v_use_account, v_use_take) as u(lease_id, account_id, take)
    where l.id = u.lease_id and l.account_id = u.account_id and u.take > 0;

  -- 8. What each single request was charged, where not everything was: in the order of the spool.
  if v_written_off > 0 then
    update usage_event e set charged = x.charged
      from (
        select i.epoch, i.seq, least(i.cost, greatest(0, u.take - (i.running - i.cost)))::bigint as charged
        from (
          select epoch, seq, lease_id, account_id, cost,
            sum(cost) over (partition by lease_id, account_id order by epoch, seq) as running
          from usage_event
          where epoch = any (v_epochs) and partition = p_partition and seq between v_min_seq and v_max_seq
            and batch_id = v_batch and request_id is not null
        ) i
        join unnest(v_use_lease, v_use_account, v_use_amount, v_use_take) as u(lease_id, account_id, amount, take)
          on u.lease_id = i.lease_id and u.account_id = i.account_id and u.take < u.amount
      ) x
      where e.epoch = x.epoch and e.partition = p_partition and e.seq = x.seq and e.charged <> x.charged;
  end if;

  -- 9. The fence: remember the close, then free what is left of every lease whose close the watermark covers.
  update lease l set state = 'closing', close_seq = c.seq, worker_settled = c.settled
    from unnest(v_close_lease, v_close_account, v_close_epoch, v_close_seq, v_close_settled)
      as c(lease_id, account_id, epoch, seq, settled)
    where l.id = c.lease_id and l.account_id = c.account_id and l.epoch = c.epoch and l.partition = p_partition
      and l.state = 'open';
  with closed as (
    update lease l set state = 'closed', closed_at = now()
      from unnest(v_epochs, v_contiguous) as w(epoch, contiguous)
      where l.id = any (v_ripe_lease) and l.state = 'closing' and l.epoch = w.epoch and l.partition = p_partition
        and l.close_seq <= w.contiguous
      returning l.account_id, l.granted - l.settled as freed, l.settled <> l.worker_settled as mismatch
  )
  select coalesce(array_agg(account_id), '{}'), coalesce(array_agg(freed), '{}'), coalesce(sum(mismatches), 0)
    into v_freed_account, v_freed_amount, v_mismatches
    from (select account_id, sum(freed)::bigint as freed, count(*) filter (where mismatch) as mismatches
          from closed group by account_id) f;

  -- 10. Balances, bonus before paid; a transfer and an entry for each bucket that moved. A debit lowers both sides of
  --     posted − reserved, so no CHECK can fail here.
  v_revenue := (select id from ledger_account where account_id is null and kind = 'revenue' and shard = p_partition);
  with delta as (
    select account_id, sum(take)::bigint as take, sum(freed)::bigint as freed, sum(events)::integer as events
    from (
      select account_id, take, 0::bigint as freed, events
        from unnest(v_use_account, v_use_take, v_use_events) as u(account_id, take, events) where take > 0
      union all
      select account_id, 0, freed, 0 from unnest(v_freed_account, v_freed_amount) as f(account_id, freed)
    ) parts
    group by account_id
  ), split as (
    select d.account_id, d.take, d.freed, d.events,
      least(b.bonus, d.take) as from_bonus, d.take - least(b.bonus, d.take) as from_paid
    from delta d join balance b on b.account_id = d.account_id
  ), moved as (
    update balance b set
        bonus = b.bonus - s.from_bonus,
        paid = b.paid - s.from_paid,
        reserved = b.reserved - s.take - s.freed,
        bonus_version = b.bonus_version + case when s.from_bonus > 0 then 1 else 0 end,
        paid_version = b.paid_version + case when s.from_paid > 0 then 1 else 0 end,
        version = b.version + 1,
        updated_at = now()
      from split s where b.account_id = s.account_id
      returning b.*, s.from_bonus, s.from_paid, s.events
  ), bucket as (
    select uuid_v7() as transfer_id, bonus_account_id as ledger_account_id, bonus_version as version, bonus as balance_after,
      from_bonus as amount, events from moved where from_bonus > 0
    union all
    select uuid_v7(), paid_account_id, paid_version, paid, from_paid, events from moved where from_paid > 0
  ), transfers as (
    insert into transfer (id, kind, debit_account_id, credit_account_id, amount, batch_id, event_count)
      select transfer_id, 'usage', ledger_account_id, v_revenue, amount, v_batch, events from bucket
  ), entries as (
    insert into entry (ledger_account_id, version, amount, balance_after, transfer_id, batch_id)
      select ledger_account_id, version, -amount, balance_after, transfer_id, v_batch from bucket
  )
  select coalesce(json_agg(json_build_object('account_id', account_id, 'paid', paid::text, 'bonus', bonus::text,
      'reserved', reserved::text, 'version', version::text)), '[]')
    into v_balances from moved;

  -- 11. The operator's side: one entry for the whole batch, and the write-off where there is one.
  if v_written_off > 0 then
    v_write_off := (select id from ledger_account where account_id is null and kind = 'write_off' and shard = p_partition);
    v_transfer := uuid_v7();
    insert into transfer (id, kind, debit_account_id, credit_account_id, amount, batch_id, reason)
      values (v_transfer, 'write_off', v_write_off, v_revenue, v_written_off, v_batch, 'usage beyond its lease');
    with posted as (
      update operator_balance set posted = posted - v_written_off, version = version + 1
        where ledger_account_id = v_write_off returning *
    )
    insert into entry (ledger_account_id, version, amount, balance_after, transfer_id, batch_id)
      select ledger_account_id, version, -v_written_off, posted, v_transfer, v_batch from posted;
  end if;
  if v_settled + v_written_off > 0 then
    with posted as (
      update operator_balance set posted = posted + v_settled + v_written_off, version = version + 1
        where ledger_account_id = v_revenue returning *
    )
    insert into entry (ledger_account_id, version, amount, balance_after, batch_id)
      select ledger_account_id, version, v_settled + v_written_off, posted, v_batch from posted;
  end if;

  insert into ingest_batch (id, partition, first_stream_seq, last_stream_seq, inserted, duplicates, quarantined, settled, written_off)
    values (v_batch, p_partition, p_first_stream_seq, p_last_stream_seq, v_inserted,
      v_total - v_inserted - json_array_length(v_suspects), v_quarantined, v_settled, v_written_off);
  return json_build_object('inserted', v_inserted, 'duplicates', v_total - v_inserted - json_array_length(v_suspects),
    'quarantined', v_quarantined, 'settled', v_settled::text, 'writtenOff', v_written_off::text,
    'suspects', v_suspects, 'balances', v_balances,
    'chargeMismatches', v_charge_mismatches, 'workerMismatches', v_mismatches);
end $$;
`;
