/**
 * `apply_batch` as 20261125T1120 tells it, which stays for the version before: with p_refuse_suspects. What is suspect is kept
 * aside by the caller in the transaction of the batch, so a batch in a statement of its own, which is its own transaction and
 * one way there and back, must have no suspects: told so, it rolls back with CX003, and the caller comes again within a
 * transaction. And cheaper: records are subscripts of the arrays (an array that came as an argument is unfolded once;
 * 22 arrays in an UNNEST are 22 tables of one column), streams are counted once, and a balance is looked up once less, because
 * its lock tells where it lies.
 */
export const applyBatchAlone = `
create function apply_batch(
  p_partitions smallint[], p_terms bigint[], p_floors bigint[], p_streams bigint[], p_accounts uuid[], p_leases uuid[], p_keys uuid[], p_shapes jsonb,
  p_stream integer[], p_seq bigint[], p_hash integer[], p_request uuid[], p_account integer[], p_lease integer[], p_key integer[],
  p_shape integer[], p_cost bigint[], p_hold bigint[], p_lease_settled bigint[],
  p_start_offset bigint[], p_duration integer[], p_first_byte integer[], p_input integer[], p_output integer[],
  p_cached_input integer[], p_cache_write integer[], p_cache_write_1h integer[], p_reasoning integer[], p_images integer[],
  p_audio integer[],
  p_quarantine json, p_first_stream_seq bigint, p_last_stream_seq bigint, p_refuse_suspects boolean
) returns json
language plpgsql security definer set search_path = billing, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  v_batch bigint := nextval('ingest_batch_id_seq');
  v_total integer := coalesce(cardinality(p_seq), 0);
  v_place integer;
  -- Places of the records that are new.
  v_new integer[] := array(select generate_series(1, v_total));
  -- one element a stream of new records, in their order
  v_in_stream bigint[];
  v_in_first bigint[]; v_in_last bigint[]; v_in_records bigint[];
  v_looked boolean := false;
  v_inserted integer;
  v_quarantined integer := 0;
  v_suspects json := '[]';
  v_streams bigint[];
  v_quarantined_streams bigint[] := '{}';
  v_contiguous bigint[] := '{}';
  v_moved_streams bigint[]; v_moved_to bigint[];
  v_stream bigint;
  v_account_no integer[]; v_key_no integer[];
  v_shape_no integer[] := '{}';
  v_mismatch boolean[];
  v_lease_no integer[]; v_lease_epoch bigint[];
  -- one element a (lease, account) pair with new usage
  v_use_lease uuid[]; v_use_account uuid[]; v_use_amount bigint[]; v_use_events integer[];
  v_use_take bigint[]; v_use_key uuid[]; v_use_on date[]; v_use_place tid[];
  -- one element a locked balance
  v_locked_account uuid[];
  v_locked_place tid[]; v_locked_bonus bigint[];
  -- one element a new LEASE_CLOSE
  v_close_lease uuid[] := '{}'; v_close_account uuid[] := '{}'; v_close_stream bigint[] := '{}';
  v_close_seq bigint[] := '{}'; v_close_settled bigint[] := '{}';
  -- leases that may be freed now, and what they free
  v_ripe_lease uuid[];
  v_ripe_account uuid[];
  v_freed_account uuid[] := '{}'; v_freed_amount bigint[] := '{}';
  v_freed_key uuid[] := '{}'; v_freed_on date[] := '{}';
  v_mismatches integer := 0; v_charge_mismatches integer := 0;
  v_settled bigint := 0; v_written_off bigint := 0;
  v_rows bigint;
  v_moved bigint;
  v_revenue uuid;
  v_write_off uuid;
  v_transfer text := left(uuid_v7()::text, 15);
begin
  -- 1. One writer a partition, and the places in the stream that this commit stands for.
  perform pg_advisory_xact_lock(hashtextextended('billing.apply_batch', p)) from unnest(p_partitions) as l(p);
  update ingest_position p set floor = coalesce(n.floor, p.floor), updated_at = now()
    from unnest(p_partitions, p_terms, p_floors) as n(partition, term, floor)
    where p.partition = n.partition and p.term = n.term;
  get diagnostics v_rows = row_count;
  if v_rows < cardinality(array_remove(p_terms, null)) then
    raise exception 'another writer has begun with one of the partitions %', p_partitions using errcode = 'CX001';
  end if;

  -- 2. What could not be parsed or priced is kept aside; it counts into the watermark so that it blocks nobody.
  if json_array_length(p_quarantine) > 0 then
    with stored as (
      insert into quarantine (epoch, partition, seq, payload_hash, reason, error, raw, stream_seq)
        select epoch, partition, seq, payload_hash, reason, error, raw, stream_seq
        from json_populate_recordset(null::quarantine, p_quarantine) order by epoch, partition, seq, payload_hash
        on conflict do nothing returning epoch, partition
    )
    select count(*), coalesce(array_agg(distinct g.epoch * 16 + s.partition) filter (where g.epoch is not null), '{}')
      into v_quarantined, v_quarantined_streams
      from stored s left join gateway_epoch g on g.epoch = s.epoch;
  end if;

  -- 3. What is new. Numbers above everything that is known are, without a look at each. LATERAL with a limit, because what
  --    the planner may turn into a join it may also turn into a walk through the whole table.
  loop
    select coalesce(array_agg(stream order by stream), '{}'), array_agg(first order by stream), array_agg(last order by stream),
        array_agg(records order by stream)
      into v_in_stream, v_in_first, v_in_last, v_in_records
      from (
        select p_streams[place] as stream, first, last, records
        from (
          select p_stream[i] as place, min(p_seq[i]) as first, max(p_seq[i]) as last, count(*) as records
          from unnest(v_new) as r(i) group by 1
        ) counted
      ) named;
    exit when v_looked or not exists (
      select from unnest(v_in_stream, v_in_first) as f(stream, first)
      left join lateral (select true as open from gateway_epoch where epoch = f.stream >> 4 and archived_at is null limit 1) g on true
      left join lateral (select true as known from usage_row where stream = f.stream and seq >= f.first limit 1) u on true
      left join lateral (
        select true as known from quarantine
        where epoch = f.stream >> 4 and partition = (f.stream & 15)::smallint and seq >= f.first and resolved_at is null limit 1
      ) q on true
      where g.open is null or u.known or q.known
    );
    select coalesce(array_agg(n.place order by n.place) filter (where n.fresh), '{}'),
      coalesce(json_agg(json_build_object('index', n.place - 1, 'reason', n.reason)) filter (where n.reason is not null), '[]')
      into v_new, v_suspects
      from (
        select r.place::integer as place,
          g.epoch is not null and g.archived_at is null and u.seq is null and not exists (
            select from quarantine q
            where q.epoch = g.epoch and q.partition = (p_streams[r.stream] & 15)::smallint and q.seq = r.seq
              and q.resolved_at is null) as fresh,
          case
            when g.epoch is null then 'unknown_epoch'
            when g.archived_at is not null and r.seq > coalesce(c.contiguous, 0) then 'archived_epoch'
            when u.payload_hash <> r.hash then 'conflict'
          end as reason
        from unnest(p_stream, p_seq, p_hash) with ordinality as r(stream, seq, hash, place)
        left join gateway_epoch g on g.epoch = p_streams[r.stream] >> 4
        left join gateway_cursor c on c.epoch = g.epoch and c.partition = (p_streams[r.stream] & 15)::smallint
        left join lateral (select u.seq, u.payload_hash from usage_row u where u.stream = p_streams[r.stream] and u.seq = r.seq) u on true
      ) n;
    if p_refuse_suspects and json_array_length(v_suspects) > 0 then
      raise exception 'some records are suspect: %', left(v_suspects::text, 200) using errcode = 'CX003';
    end if;
    v_looked := true;
  end loop;
  v_inserted := cardinality(v_new);
  if v_inserted + v_quarantined = 0 then
    return json_build_object('inserted', 0, 'duplicates', v_total - json_array_length(v_suspects), 'quarantined', 0,
      'settled', '0', 'writtenOff', '0', 'suspects', v_suspects, 'chargeMismatches', 0, 'workerMismatches', 0);
  end if;

  -- 4. Numbers of what repeats. An account that has no balance gets an empty one: its usage is nobody's to pay.
  if v_inserted > 0 then
    v_account_no := array(
      select coalesce((select account_no from balance where account_id = a.id), 0) from unnest(p_accounts) as a(id));
    if 0 = any (v_account_no) then
      perform ensure_balance(a.id) from unnest(p_accounts, v_account_no) as a(id, no) where a.no = 0 order by a.id;
      v_account_no := array(select (select account_no from balance where account_id = a.id) from unnest(p_accounts) as a(id));
    end if;
    v_key_no := array(select coalesce((select no from usage_key where key_id = a.id), 0) from unnest(p_keys) as a(id));
    if 0 = any (v_key_no) then
      insert into usage_key (key_id) select a.id from unnest(p_keys, v_key_no) as a(id, no) where a.no = 0 order by a.id
        on conflict do nothing;
      v_key_no := array(select (select no from usage_key where key_id = a.id) from unnest(p_keys) as a(id));
    end if;
    -- In one order, so that two writers that meet a new shape at once wait and do not die.
    select array_agg(n.no order by n.place), array_agg(n.mismatch order by n.place) into v_shape_no, v_mismatch
      from (
        select usage_shape_no(s.shape) as no, (s.shape ->> 9)::boolean as mismatch, s.place
        from (select shape, place from jsonb_array_elements(p_shapes) with ordinality as e(shape, place) order by shape) s
      ) n;
    select array_agg(coalesce(l.request_no, 0)::integer order by a.place), array_agg(coalesce(l.epoch, 0) order by a.place)
      into v_lease_no, v_lease_epoch
      from unnest(p_leases) with ordinality as a(id, place)
      left join lateral (select request_no, epoch from lease where id = a.id and request_no < 2147483648) l on true;
  end if;

  -- 5. Insert; the primary key is the dedupe. No lock on any balance yet, so hot rows are held for the tail alone.
  if v_inserted > 0 then
    insert into usage_row (
        stream, seq, batch_id, request_id, account_no, payload_hash, key_no, shape_no, lease_no, lease_id,
        cost, cost_wide, hold, hold_wide, lease_settled, start_offset_ms, start_offset_wide, duration_ms, first_byte_ms, tokens_input,
        tokens_output, tokens_cached_input, tokens_cache_write, tokens_cache_write_1h, tokens_reasoning, image_count, audio_ms)
      select p_streams[p_stream[i]], p_seq[i], v_batch, p_request[i], v_account_no[p_account[i]], p_hash[i],
        case when p_request[i] is not null then v_key_no[p_key[i]] end, case when p_request[i] is not null then v_shape_no[p_shape[i]] end,
        case when v_lease_epoch[p_lease[i]] = p_streams[p_stream[i]] >> 4 then v_lease_no[p_lease[i]] end,
        case when v_lease_epoch[p_lease[i]] <> p_streams[p_stream[i]] >> 4 then p_leases[p_lease[i]] end,
        case when p_cost[i] < 2147483648 then p_cost[i] end, case when p_cost[i] >= 2147483648 then p_cost[i] end,
        case when p_hold[i] < 2147483648 then p_hold[i] end, case when p_hold[i] >= 2147483648 then p_hold[i] end, p_lease_settled[i],
        case when abs(p_start_offset[i]) < 2147483648 then nullif(p_start_offset[i], 0) end,
        case when abs(p_start_offset[i]) >= 2147483648 then p_start_offset[i] end, nullif(p_duration[i], 0), p_first_byte[i],
        nullif(p_input[i], 0), nullif(p_output[i], 0), nullif(p_cached_input[i], 0), nullif(p_cache_write[i], 0),
        nullif(p_cache_write_1h[i], 0), nullif(p_reasoning[i], 0), p_images[i], nullif(p_audio[i], 0)
      from unnest(v_new) as r(i);
  end if;

  with used as (
    select p_lease[i] as lease, p_account[i] as account, sum(p_cost[i])::bigint as amount, count(*)::integer as events,
      count(*) filter (where v_mismatch[p_shape[i]]) as mismatches
    from unnest(v_new) as r(i)
    where p_cost[i] is not null group by 1, 2
  )
  select coalesce(array_agg(p_leases[lease]), '{}'), coalesce(array_agg(p_accounts[account]), '{}'),
    coalesce(array_agg(amount), '{}'), coalesce(array_agg(events), '{}'), coalesce(sum(mismatches), 0)
    into v_use_lease, v_use_account, v_use_amount, v_use_events, v_charge_mismatches from used;
  if cardinality(array_remove(p_lease_settled, null)) > 0 then
    with closing as (
      select distinct on (p_lease[i]) p_lease[i] as lease, p_account[i] as account, p_stream[i] as stream, p_seq[i] as seq,
        p_lease_settled[i] as settled
      from unnest(v_new) as r(i)
      where p_lease_settled[i] is not null order by p_lease[i], p_seq[i]
    )
    select coalesce(array_agg(p_leases[lease]), '{}'), coalesce(array_agg(p_accounts[account]), '{}'),
      coalesce(array_agg(p_streams[stream]), '{}'), coalesce(array_agg(seq), '{}'), coalesce(array_agg(settled), '{}')
      into v_close_lease, v_close_account, v_close_stream, v_close_seq, v_close_settled from closing;
  end if;

  -- 6. Watermarks, in the order of their streams, each under its row's lock.
  v_streams := v_in_stream;
  if cardinality(v_quarantined_streams) > 0 then
    v_streams := array(select distinct s from unnest(v_in_stream || v_quarantined_streams) as known(s) order by s);
  end if;
  --    Nearly always what is new goes on where the watermark stands and nothing is known behind it: all such streams move in
  --    one statement, each under the lock of its partition; the others one by one.
  with fresh as (
    select * from unnest(v_in_stream, v_in_first, v_in_last, v_in_records) as f(stream, first, last, records)
  ), moved as (
    update gateway_cursor c set contiguous = f.last, updated_at = now()
      from fresh f, lateral (
        select ctid as place from gateway_cursor where epoch = f.stream >> 4 and partition = (f.stream & 15)::smallint
      ) g
      where c.ctid = g.place and c.contiguous = f.first - 1 and f.records = f.last - f.first + 1
        and f.stream <> all (v_quarantined_streams)
        and not exists (select from usage_row u where u.stream = f.stream and u.seq = f.last + 1)
        and not exists (
          select from quarantine q
          where q.epoch = f.stream >> 4 and q.partition = (f.stream & 15)::smallint and q.seq = f.last + 1)
      returning f.stream, f.last
  )
  select array_agg(stream), array_agg(last) into v_moved_streams, v_moved_to from moved;
  foreach v_stream in array v_streams loop
    v_place := array_position(v_moved_streams, v_stream);
    if v_place is null then
      v_contiguous := v_contiguous || advance_cursor(v_stream >> 4, (v_stream & 15)::smallint);
    else
      v_contiguous := v_contiguous || v_moved_to[v_place];
    end if;
  end loop;

  -- 7. Leases whose LEASE_CLOSE the watermark has now reached; read without locks, decided again under them.
  select coalesce(array_agg(lease_id), '{}'), coalesce(array_agg(account_id), '{}') into v_ripe_lease, v_ripe_account
    from (
      select l.id as lease_id, l.account_id
      from unnest(v_streams, v_contiguous) as w(stream, contiguous)
      join lease l on l.epoch = w.stream >> 4 and l.partition = (w.stream & 15)::smallint and l.state = 'closing'
        and l.close_seq <= w.contiguous
      union
      select c.lease_id, c.account_id
      from unnest(v_close_lease, v_close_account, v_close_stream, v_close_seq) as c(lease_id, account_id, stream, seq)
      join unnest(v_streams, v_contiguous) as w(stream, contiguous) on w.stream = c.stream and c.seq <= w.contiguous
    ) ripe;

  -- 8. Locks, in the one order. Settle: never more than the lease still holds; the rest, and anything on a closed, reclaimed
  --    or foreign lease, is written off.
  --    Nobody changes a lease without the lock of its balance, so leases need none of their own before they are changed.
  select array_agg(t.id), array_agg(locked.place), array_agg(locked.bonus) into v_locked_account, v_locked_place, v_locked_bonus
    from (
      select distinct a as id from unnest(v_use_account || v_close_account || v_ripe_account) as u(a) order by a
    ) t, lateral (select b.ctid as place, b.bonus from balance b where b.account_id = t.id for update) locked;
  select coalesce(array_agg(t.take order by t.n), '{}'), coalesce(sum(t.take), 0), coalesce(sum(t.amount - t.take), 0),
    array_agg(t.key_id order by t.n), array_agg(t.granted_on order by t.n), array_agg(t.place order by t.n)
    into v_use_take, v_settled, v_written_off, v_use_key, v_use_on, v_use_place
    from (
      select u.n, l.place, u.amount, l.key_id, l.granted_on, case when l.rest > 0 then least(u.amount, l.rest) else 0 end as take
      from unnest(v_use_lease, v_use_account, v_use_amount) with ordinality as u(lease_id, account_id, amount, n)
      left join lateral (
        select ctid as place, key_id, granted_on, case when state in ('open', 'closing') then granted - settled else 0 end as rest
        from lease where id = u.lease_id and account_id = u.account_id
      ) l on true
    ) t;
  update lease l set settled = l.settled + u.take
    from unnest(v_use_place, v_use_take) as u(place, take) where l.ctid = u.place and u.take > 0;
  get diagnostics v_rows = row_count;
  if v_rows <> (select count(*) from unnest(v_use_take) as t(take) where t.take > 0) then
    raise exception 'a lease changed without the lock of its balance' using errcode = 'CX002';
  end if;

  -- 9. What each single request was charged, where not everything was: in the order of the spool.
  if v_written_off > 0 then
    update usage_row e set charged = x.charged
      from (
        select i.stream, i.seq, least(i.cost, greatest(0, u.take - (i.running - i.cost)))::bigint as charged, i.cost
        from (
          select p_streams[p_stream[i]] as stream, p_seq[i] as seq, p_leases[p_lease[i]] as lease_id,
            p_accounts[p_account[i]] as account_id, p_cost[i] as cost,
            sum(p_cost[i]) over (partition by p_lease[i], p_account[i] order by p_streams[p_stream[i]], p_seq[i]) as running
          from unnest(v_new) as r(i)
          where p_cost[i] is not null
        ) i
        join unnest(v_use_lease, v_use_account, v_use_amount, v_use_take) as u(lease_id, account_id, amount, take)
          on u.lease_id = i.lease_id and u.account_id = i.account_id and u.take < u.amount
      ) x
      where e.stream = x.stream and e.seq = x.seq and x.charged < x.cost;
  end if;

  -- 10. The fence: remember the close, then free what is left of every lease whose close the watermark covers.
  if cardinality(v_close_lease) > 0 then
    update lease l set state = 'closing', close_seq = c.seq, worker_settled = c.settled
      from unnest(v_close_lease, v_close_account, v_close_stream, v_close_seq, v_close_settled)
        as c(lease_id, account_id, stream, seq, settled)
      where l.id = c.lease_id and l.account_id = c.account_id and l.epoch = c.stream >> 4
        and l.partition = (c.stream & 15)::smallint and l.state = 'open';
  end if;
  if cardinality(v_ripe_lease) > 0 then
    with closed as (
      update lease l set state = 'closed', closed_at = now()
        from unnest(v_streams, v_contiguous) as w(stream, contiguous)
        where l.id = any (v_ripe_lease) and l.state = 'closing' and l.epoch = w.stream >> 4
          and l.partition = (w.stream & 15)::smallint and l.close_seq <= w.contiguous
        returning l.account_id, l.granted - l.settled as freed, l.settled <> l.worker_settled as mismatch, l.key_id, l.granted_on
    )
    select coalesce(array_agg(account_id), '{}'), coalesce(array_agg(freed), '{}'), array_agg(key_id), array_agg(granted_on),
      count(*) filter (where mismatch)
      into v_freed_account, v_freed_amount, v_freed_key, v_freed_on, v_mismatches from closed;
  end if;

  -- 11. What capped keys spent, in the windows of their leases' grants. Never below zero: the cap is a limit, not money.
  if exists (select from unnest(v_use_key || v_freed_key) as k(id) where k.id is not null) then
    perform settle_key_budgets(v_use_key || v_freed_key, v_use_on || v_freed_on,
      v_use_take || array_fill(0::bigint, array[cardinality(v_freed_amount)]),
      array_fill(0::bigint, array[cardinality(v_use_take)]) || v_freed_amount);
  end if;

  -- 12. Balances, bonus before paid; a transfer and an entry for each bucket that moved, one entry for the operator's side.
  --     The operator's side goes to the shard of the first partition: writers have different ones, so they share no row.
  --     A debit lowers both sides of posted − reserved, so no CHECK can fail here. All entries in one statement: its trigger
  --     sees that they sum to zero.
  v_revenue := (select id from ledger_account where account_id is null and kind = 'revenue' and shard = p_partitions[1]);
  v_write_off := (select id from ledger_account where account_id is null and kind = 'write_off' and shard = p_partitions[1]);
  with delta as (
    select account_id, sum(take)::bigint as take, sum(freed)::bigint as freed, sum(events)::integer as events
    from (
      select account_id, take, 0::bigint as freed, events
        from unnest(v_use_account, v_use_take, v_use_events) as u(account_id, take, events) where take > 0
      union all
      select account_id, 0, freed, 0 from unnest(v_freed_account, v_freed_amount) as f(account_id, freed)
    ) parts
    group by account_id
  ), split as materialized (
    select b.place, d.take, d.freed, d.events, least(b.bonus, d.take) as from_bonus
    from delta d join unnest(v_locked_account, v_locked_place, v_locked_bonus) as b(account_id, place, bonus)
      on b.account_id = d.account_id
  ), moved as (
    update balance b set
        bonus = b.bonus - s.from_bonus,
        paid = b.paid - (s.take - s.from_bonus),
        reserved = b.reserved - s.take - s.freed,
        bonus_version = b.bonus_version + case when s.from_bonus > 0 then 1 else 0 end,
        paid_version = b.paid_version + case when s.take > s.from_bonus then 1 else 0 end,
        version = b.version + 1,
        updated_at = now()
      from split s where b.ctid = s.place
      returning b.account_no, b.bonus_account_id, b.bonus_version, b.bonus, b.paid_account_id, b.paid_version, b.paid,
        s.from_bonus, s.take - s.from_bonus as from_paid, s.events
  ), written_off as (
    update operator_balance set posted = posted - v_written_off, version = version + 1
      where ledger_account_id = v_write_off and v_written_off > 0 returning ledger_account_id, version, posted
  ), bucket as (
    select (v_transfer || substr(gen_random_uuid()::text, 16))::uuid as transfer_id, 'usage' as kind,
      bonus_account_id as debit, bonus_version as version, bonus as balance_after, from_bonus as amount, events
      from moved where from_bonus > 0
    union all
    select (v_transfer || substr(gen_random_uuid()::text, 16))::uuid, 'usage', paid_account_id, paid_version, paid, from_paid, events
      from moved where from_paid > 0
    union all
    select (v_transfer || substr(gen_random_uuid()::text, 16))::uuid, 'write_off', ledger_account_id, version, posted, v_written_off, null
      from written_off
  ), revenue as (
    update operator_balance set posted = posted + v_settled + v_written_off, version = version + 1
      where ledger_account_id = v_revenue and v_settled + v_written_off > 0 returning ledger_account_id, version, posted
  ), transfers as (
    insert into transfer (id, kind, debit_account_id, credit_account_id, amount, batch_id, event_count, reason)
      select transfer_id, kind, debit, v_revenue, amount, v_batch, events,
        case when kind = 'write_off' then 'usage beyond its lease' end
      from bucket
  ), entries as (
    insert into entry (ledger_account_id, version, amount, balance_after, transfer_id, batch_id)
      select debit, version, -amount, balance_after, transfer_id, v_batch from bucket
      union all
      select ledger_account_id, version, v_settled + v_written_off, posted, null, v_batch from revenue
  )
  insert into balance_dirty (account_nos) select array_agg(account_no) from moved having count(*) > 0
    returning cardinality(account_nos) into v_moved;
  if coalesce(v_moved, 0) <> (
    select count(distinct d.account_id) from (
      select u.account_id from unnest(v_use_account, v_use_take) as u(account_id, take) where u.take > 0
      union all select unnest(v_freed_account)
    ) d
  ) then
    raise exception 'a balance changed without its lock' using errcode = 'CX002';
  end if;

  -- The partition of a batch is its first.
  insert into ingest_batch (id, partition, first_stream_seq, last_stream_seq, inserted, duplicates, quarantined, settled, written_off)
    values (v_batch, p_partitions[1], p_first_stream_seq, p_last_stream_seq, v_inserted,
      v_total - v_inserted - json_array_length(v_suspects), v_quarantined, v_settled, v_written_off);
  return json_build_object('inserted', v_inserted, 'duplicates', v_total - v_inserted - json_array_length(v_suspects),
    'quarantined', v_quarantined, 'settled', v_settled::text, 'writtenOff', v_written_off::text,
    'suspects', v_suspects, 'chargeMismatches', v_charge_mismatches, 'workerMismatches', v_mismatches);
end $$;
`;
