/**
 * Leases between grant and close: caps of keys, return to a ceiling, burnt request numbers, reclaim of lost workers' money.
 *
 * Glossary
 *   last_seen_at     when the worker of an epoch last asked for anything, to the minute; on this database's clock alone
 *   ceiling          the most that will ever be charged on a lease, as its worker says: what is above may be free at once,
 *                    because no record that is still on its way can need it (docs/adr/0008)
 *   burnt number     a (epoch, request number) with an empty closed lease: an ask that is still under way gets nothing
 *   ingest_position  how far the stream USAGE is committed, for gateways that wonder whether an envelope was lost
 *
 * `grant_lease` with eight arguments stays for replicas of the version before.
 */
export const leaseLifecycle = `
alter table gateway_epoch add column last_seen_at timestamptz not null default now();

create table if not exists ingest_position (
  partition smallint primary key,
  stream_created timestamptz not null,
  floor bigint not null,
  updated_at timestamptz not null default now()
);

create function touch_epoch(p_epoch bigint) returns void
language sql security definer set search_path = billing, pg_temp as $$
  update gateway_epoch set last_seen_at = now() where epoch = p_epoch and last_seen_at < now() - interval '1 minute'
$$;

-- The three windows that a lease of a capped key counts in.
create function key_budget_windows(p_granted_on date) returns table (period text, starts_on date)
language sql immutable set search_path = billing, pg_temp as $$
  values ('day', p_granted_on), ('month', date_trunc('month', p_granted_on)::date), ('total', date '1970-01-01')
$$;

-- Every writer of key_budget holds the lock of the account's balance, so these rows need no order of their own.
create function free_key_budget(p_key_id uuid, p_granted_on date, p_amount bigint) returns void
language sql security definer set search_path = billing, pg_temp as $$
  update key_budget b set reserved = b.reserved - p_amount
    from key_budget_windows(p_granted_on) w
    where b.key_id = p_key_id and b.period = w.period and b.starts_on = w.starts_on
$$;

-- Idempotent by (epoch, request_no). A null key has no caps. Size: domain/lease-size.ts, which a test holds equal to this.
create function grant_lease(
  p_lease_id uuid, p_epoch bigint, p_request_no bigint, p_account_id uuid, p_partition smallint,
  p_minimum bigint, p_want bigint, p_ttl_ms integer,
  p_key_id uuid, p_day_cap bigint, p_month_cap bigint, p_total_cap bigint
) returns table (
  outcome text, lease_id uuid, granted bigint, ttl_ms integer, available bigint, held bigint, price_group text,
  cap_period text, cap bigint, cap_resets_at timestamptz
)
language plpgsql security definer set search_path = billing, pg_temp as $$
#variable_conflict use_column
declare
  v_lease lease;
  v_balance balance;
  v_today date := (now() at time zone 'utc')::date;
  v_available bigint;
  v_spendable bigint;
  v_holders bigint;
  v_granted bigint;
  v_cap record;
begin
  if p_minimum < 0 or p_want < p_minimum then
    raise exception 'lease bounds are wrong: minimum %, want %', p_minimum, p_want using errcode = 'invalid_parameter_value';
  end if;
  select * into v_balance from balance where account_id = p_account_id for update;
  if not found then
    -- A free model needs a lease as well; money nobody has is refused without leaving a row behind.
    if p_minimum > 0 then
      return query select 'insufficient_balance', null::uuid, null::bigint, null::integer, 0::bigint, 0::bigint, 'default',
        null::text, null::bigint, null::timestamptz;
      return;
    end if;
    perform ensure_balance(p_account_id);
    select * into v_balance from balance where account_id = p_account_id for update;
  end if;
  perform touch_epoch(p_epoch);
  select * into v_lease from lease where epoch = p_epoch and request_no = p_request_no;
  if found then
    if v_lease.account_id <> p_account_id then
      raise exception 'epoch %, request % belongs to another account', p_epoch, p_request_no using errcode = 'unique_violation';
    end if;
    return query select 'granted', v_lease.id, v_lease.granted, v_lease.ttl_ms, null::bigint, null::bigint,
      v_balance.price_group, null::text, null::bigint, null::timestamptz;
    return;
  end if;
  v_available := v_balance.paid + v_balance.bonus - v_balance.reserved;
  if v_balance.frozen_at is not null or v_available < p_minimum then
    return query select case when v_balance.frozen_at is null then 'insufficient_balance' else 'account_frozen' end,
      null::uuid, null::bigint, null::integer, v_available, v_balance.reserved, v_balance.price_group,
      null::text, null::bigint, null::timestamptz;
    return;
  end if;
  v_spendable := v_available;
  if p_key_id is not null then
    insert into key_budget (key_id, period, starts_on)
      select p_key_id, period, starts_on from key_budget_windows(v_today) on conflict do nothing;
    -- The tightest cap decides.
    select b.period, b.reserved, w.cap, greatest(w.cap - b.spent - b.reserved, 0) as left_over,
        case b.period
          when 'day' then (v_today + 1)::timestamp at time zone 'utc'
          when 'month' then (date_trunc('month', v_today) + interval '1 month')::timestamp at time zone 'utc'
        end as resets_at
      into v_cap
      from key_budget_windows(v_today) d
      join (values ('day', p_day_cap), ('month', p_month_cap), ('total', p_total_cap)) as w(period, cap) on w.period = d.period
      join key_budget b on b.key_id = p_key_id and b.period = d.period and b.starts_on = d.starts_on
      where w.cap is not null
      order by w.cap - b.spent - b.reserved, d.starts_on desc limit 1;
    if found and v_cap.left_over < p_minimum then
      return query select 'key_cap_reached', null::uuid, null::bigint, null::integer, v_cap.left_over, v_cap.reserved,
        v_balance.price_group, v_cap.period, v_cap.cap, v_cap.resets_at;
      return;
    end if;
    if found then v_spendable := least(v_available, v_cap.left_over); end if;
  end if;
  select count(distinct epoch) + 1 into v_holders from lease
    where account_id = p_account_id and state in ('open', 'closing') and epoch <> p_epoch;
  v_granted := greatest(p_minimum, least(p_want, v_spendable / (2 * v_holders)));
  insert into lease (id, account_id, epoch, request_no, partition, granted, ttl_ms, key_id, granted_on)
    values (p_lease_id, p_account_id, p_epoch, p_request_no, p_partition, v_granted, p_ttl_ms, p_key_id, v_today);
  update balance set reserved = reserved + v_granted, version = version + 1, updated_at = now()
    where account_id = p_account_id;
  if p_key_id is not null then perform free_key_budget(p_key_id, v_today, -v_granted); end if;
  return query select 'granted', p_lease_id, v_granted, p_ttl_ms, null::bigint, null::bigint, v_balance.price_group,
    null::text, null::bigint, null::timestamptz;
end $$;

-- Lowers leases to their ceilings, never below what is settled; answers what became free. A repeat frees nothing more.
create function return_leases(p_epoch bigint, p_account_id uuid, p_lease_ids uuid[], p_ceilings bigint[]) returns bigint
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_freed bigint := 0;
  v_lease record;
begin
  perform 1 from balance where account_id = p_account_id for update;
  for v_lease in
    select l.id, l.key_id, l.granted_on, l.granted, greatest(min(r.ceiling), l.settled) as ceiling
    from lease l join unnest(p_lease_ids, p_ceilings) as r(id, ceiling) on r.id = l.id
    where l.account_id = p_account_id and l.epoch = p_epoch and l.state in ('open', 'closing')
    group by l.id order by l.id
  loop
    continue when v_lease.ceiling >= v_lease.granted;
    update lease set granted = v_lease.ceiling where id = v_lease.id;
    v_freed := v_freed + v_lease.granted - v_lease.ceiling;
    if v_lease.key_id is not null then
      perform free_key_budget(v_lease.key_id, v_lease.granted_on, v_lease.granted - v_lease.ceiling);
    end if;
  end loop;
  if v_freed > 0 then
    update balance set reserved = reserved - v_freed, version = version + 1, updated_at = now()
      where account_id = p_account_id;
  end if;
  return v_freed;
end $$;

-- The lease that was granted under the number; null burns it. The caller's worker is dead, but its ask may still be under
-- way: from now on that ask finds a lease, and an empty one.
create function recover_lease(
  p_burnt_id uuid, p_epoch bigint, p_request_no bigint, p_account_id uuid, p_partition smallint
) returns uuid
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_lease lease;
begin
  perform ensure_balance(p_account_id);
  perform 1 from balance where account_id = p_account_id for update;
  select * into v_lease from lease where epoch = p_epoch and request_no = p_request_no and account_id = p_account_id;
  if found then
    return case when v_lease.granted = 0 and v_lease.close_seq = 0 then null else v_lease.id end;
  end if;
  insert into lease (id, account_id, epoch, request_no, partition, granted, ttl_ms, state, close_seq, worker_settled, closed_at)
    values (p_burnt_id, p_account_id, p_epoch, p_request_no, p_partition, 0, 1, 'closed', 0, 0, now());
  return null;
end $$;

-- Takes back what workers hold that are gone: of one epoch by command, or of every epoch that was not seen for so long. At
-- most p_limit leases a call; one caller at a time, of which the command waits and the job leaves. What their spools still bring is written off by apply_batch.
create function reclaim_leases(p_epoch bigint, p_after_ms bigint, p_limit integer) returns table (
  account_id uuid, leases integer, freed bigint, paid bigint, bonus bigint, reserved bigint, version bigint
)
language plpgsql security definer set search_path = billing, pg_temp as $$
#variable_conflict use_column
declare
  v_leases uuid[];
  v_accounts uuid[];
begin
  if p_epoch is not null then
    perform pg_advisory_xact_lock(hashtextextended('billing.reclaim_leases', 0));
  elsif not pg_try_advisory_xact_lock(hashtextextended('billing.reclaim_leases', 0)) then
    return;
  end if;
  select array_agg(id), array_agg(distinct account_id) into v_leases, v_accounts from (
    select l.id, l.account_id from lease l join gateway_epoch e on e.epoch = l.epoch
    where l.state in ('open', 'closing')
      and case when p_epoch is null
        then e.last_seen_at < now() - p_after_ms * interval '1 millisecond'
          and l.granted_at < now() - p_after_ms * interval '1 millisecond'
        else l.epoch = p_epoch end
    order by l.account_id, l.id limit p_limit
  ) chosen;
  if v_leases is null then return; end if;
  perform 1 from balance where account_id = any (v_accounts) order by account_id for update;
  perform 1 from lease where id = any (v_leases) order by id for update;
  return query
    with taken as (
      update lease l set state = 'reclaimed', closed_at = now()
        where l.id = any (v_leases) and l.state in ('open', 'closing')
        returning l.account_id, l.key_id, l.granted_on, l.granted - l.settled as freed
    ), windows as (
      select t.key_id, w.period, w.starts_on, sum(t.freed)::bigint as freed
      from taken t, key_budget_windows(t.granted_on) w where t.key_id is not null group by 1, 2, 3
    ), budgets as (
      update key_budget b set reserved = b.reserved - w.freed from windows w
        where b.key_id = w.key_id and b.period = w.period and b.starts_on = w.starts_on
    ), sums as (
      select t.account_id, count(*)::integer as leases, sum(t.freed)::bigint as freed from taken t group by 1
    )
    update balance b set reserved = b.reserved - s.freed, version = b.version + 1, updated_at = now()
      from sums s where b.account_id = s.account_id
      returning b.account_id, s.leases, s.freed, b.paid, b.bonus, b.reserved, b.version;
end $$;

revoke execute on function free_key_budget(uuid, date, bigint) from public;
do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke execute on function free_key_budget(uuid, date, bigint) from %I', v_role);
end $$;
`;
