/**
 * Usage at a third of its former width: what repeats is a number into a dictionary, what is usually absent is NULL (which
 * costs a bit), what usually fits four bytes has four and a wide column beside it. docs/adr/0007 has the bytes.
 *
 * Glossary
 *   stream       epoch × 16 + partition: one column instead of two in the primary key, and a day stays one range
 *   account_no   a customer in four bytes (balance.account_no)
 *   usage_shape  everything of a request that repeats from request to request; found by the MD5 of its JSON, so that a long
 *                value cannot outgrow an index
 *   lease_no     request_no of the lease, when the lease is one of the record's own epoch (all are, but for bad input);
 *                otherwise lease_id
 *   usage_event  view of every record, LEASE_CLOSE too; usage_line: view of the requests alone. Both carry account_no and
 *                stream as well, since a filter on those can use the indexes: by account_no for pages in order.
 */
export const usageStorage = `
alter table balance add column account_no integer generated always as identity;
create unique index balance_account_no on balance (account_no);

-- As before, but a known account takes no number from the sequence.
create or replace function ensure_balance(p_account_id uuid) returns void
language plpgsql security definer set search_path = billing, pg_temp as $$
begin
  if exists (select from balance where account_id = p_account_id) then return; end if;
  insert into ledger_account (kind, account_id) values ('customer_paid', p_account_id), ('customer_bonus', p_account_id)
    on conflict do nothing;
  insert into balance (account_id, paid_account_id, bonus_account_id)
    select p_account_id,
      (select id from ledger_account where account_id = p_account_id and kind = 'customer_paid'),
      (select id from ledger_account where account_id = p_account_id and kind = 'customer_bonus')
    on conflict do nothing;
end $$;

create table usage_key (
  no integer generated always as identity primary key,
  key_id uuid not null unique
);

create table usage_shape (
  no integer generated always as identity primary key,
  digest uuid not null unique,
  price_version uuid not null,
  route text not null,
  model text not null,
  channel text,
  status text not null,
  http_status smallint not null,
  error_code text,
  streamed boolean not null,
  estimated boolean not null,
  charge_mismatch boolean not null,
  price_group text not null,
  image_variant text
);

drop view usage_line;
alter table usage_event rename to usage_event_wide;

create table usage_row (
  stream bigint not null,
  seq bigint not null check (seq > 0),
  batch_id bigint not null,
  request_id uuid,
  account_no integer not null,
  payload_hash integer not null,
  key_no integer,
  shape_no integer,
  lease_no integer,
  cost integer,
  hold integer,
  duration_ms integer,
  first_byte_ms integer,
  start_offset_ms integer,
  tokens_input integer,
  tokens_output integer,
  tokens_cached_input integer,
  tokens_cache_write integer,
  tokens_cache_write_1h integer,
  tokens_reasoning integer,
  image_count integer,
  audio_ms integer,
  charged bigint,
  cost_wide bigint,
  hold_wide bigint,
  start_offset_wide bigint,
  lease_settled bigint,
  lease_id uuid,
  -- Numbers of a stream come in order: a page that is full stays as it is.
  primary key (stream, seq) with (fillfactor = 100),
  check ((request_id is null) = (lease_settled is not null)),
  check (request_id is null or (key_no is not null and shape_no is not null
    and coalesce(cost_wide, cost) >= 0 and coalesce(cost_wide, cost) <= coalesce(hold_wide, hold)
    and (charged is null or (charged >= 0 and charged < coalesce(cost_wide, cost)))))
) partition by range (stream);
-- A request id is a UUIDv7, so this one index is both "newest first" and the receipt look-up.
create index usage_row_request on usage_row (account_no, request_id desc) where request_id is not null;

-- A row is kept as it was written. Only the batch that writes it may still lower what was charged, before it is recorded.
create function guard_usage_row() returns trigger
language plpgsql security definer set search_path = billing, pg_temp as $$
begin
  if tg_op = 'UPDATE' and not exists (select from ingest_batch where id = old.batch_id)
    and to_jsonb(new) - 'charged' = to_jsonb(old) - 'charged' then
    return new;
  end if;
  raise exception '% is append-only: % refused', tg_table_name, lower(tg_op)
    using errcode = 'restrict_violation', hint = 'Correct money with another transfer.';
end $$;
create trigger usage_row_append_only before update or delete on usage_row for each row execute function guard_usage_row();
create trigger usage_row_kept before truncate on usage_row for each statement execute function refuse_change();

-- Sees to it that a day has a table. LIKE + ATTACH takes a weaker lock on the parent than CREATE … PARTITION OF, so writers
-- go on. Idempotent; any number at once.
create function ensure_usage_day(p_day bigint) returns void
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_table text := 'usage_row_' || p_day;
  v_grantee name;
begin
  if to_regclass('billing.' || v_table) is not null then return; end if;
  perform pg_advisory_xact_lock(hashtextextended('billing.usage_event.partition', 0));
  -- Not to_regclass again: it may answer from a cache that has not heard of what the former holder of the lock committed.
  if exists (select from pg_class where relname = v_table and relnamespace = 'billing'::regnamespace) then return; end if;
  execute format('create table %I (like usage_row including all)', v_table);
  execute format('create trigger usage_row_kept before truncate on %I for each statement execute function refuse_change()', v_table);
  -- Whatever default privileges gave out on the new table: all access goes through the parent.
  for v_grantee in
    select distinct r.rolname from pg_class c, aclexplode(c.relacl) a, pg_roles r
    where c.oid = to_regclass('billing.' || v_table) and r.oid = a.grantee and a.grantee <> c.relowner
  loop
    execute format('revoke all on table %I from %I', v_table, v_grantee);
  end loop;
  execute format('alter table usage_row attach partition %I for values from (%s) to (%s)',
    v_table, p_day * 16000000, (p_day + 1) * 16000000);
end $$;

-- Today and tomorrow, so that midnight finds its table. Rows go to the day of their epoch, however late they come.
create function ensure_usage_days() returns void
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_today bigint := floor(extract(epoch from now()) / 86400);
begin
  perform ensure_usage_day(v_today);
  perform ensure_usage_day(v_today + 1);
end $$;

create or replace function open_epoch(p_worker_id text) returns bigint
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_day bigint := floor(extract(epoch from now()) / 86400);
  v_epoch bigint := v_day * 1000000 + nextval('epoch_number');
begin
  perform ensure_usage_day(v_day);
  perform ensure_usage_day(v_day + 1);
  insert into gateway_epoch (epoch, worker_id) values (v_epoch, p_worker_id);
  return v_epoch;
end $$;
`;

/** The views that everything reads, the rows that were there before, and the rights. */
export const usageViews = `
create view usage_event as
  select u.stream, u.stream >> 4 as epoch, (u.stream & 15)::smallint as partition, u.seq, u.payload_hash, u.batch_id,
    u.account_no, b.account_id, coalesce(u.lease_id, l.id) as lease_id, u.request_id, k.key_id, s.price_version,
    case when u.request_id is not null then
      'epoch'::timestamptz + (('x' || left(replace(u.request_id::text, '-', ''), 12))::bit(48)::bigint
        + coalesce(u.start_offset_wide, u.start_offset_ms, 0)) * interval '1 millisecond' end as started_at,
    case when u.request_id is not null then coalesce(u.duration_ms, 0)::bigint end as duration_ms,
    u.first_byte_ms::bigint as first_byte_ms,
    case when u.request_id is not null then coalesce(u.tokens_input, 0)::bigint end as tokens_input,
    case when u.request_id is not null then coalesce(u.tokens_cached_input, 0)::bigint end as tokens_cached_input,
    case when u.request_id is not null then coalesce(u.tokens_cache_write, 0)::bigint end as tokens_cache_write,
    case when u.request_id is not null then coalesce(u.tokens_cache_write_1h, 0)::bigint end as tokens_cache_write_1h,
    case when u.request_id is not null then coalesce(u.tokens_output, 0)::bigint end as tokens_output,
    case when u.request_id is not null then coalesce(u.tokens_reasoning, 0)::bigint end as tokens_reasoning,
    u.image_count::bigint as image_count, s.image_variant,
    case when u.request_id is not null then coalesce(u.audio_ms, 0)::bigint end as audio_ms, s.price_group,
    coalesce(u.hold_wide, u.hold) as hold, coalesce(u.cost_wide, u.cost) as cost,
    coalesce(u.charged, u.cost_wide, u.cost) as charged, u.lease_settled,
    s.route, s.model, s.channel, s.status, s.error_code, s.http_status, s.streamed, s.estimated,
    coalesce(s.charge_mismatch, false) as charge_mismatch
  from usage_row u
  join balance b on b.account_no = u.account_no
  left join usage_key k on k.no = u.key_no
  left join usage_shape s on s.no = u.shape_no
  left join lease l on l.epoch = u.stream >> 4 and l.request_no = u.lease_no;

create view usage_line as
  select u.stream, u.stream >> 4 as epoch, (u.stream & 15)::smallint as partition, u.seq, u.batch_id, u.account_no, b.account_id,
    coalesce(u.lease_id, l.id) as lease_id, u.request_id, k.key_id, s.price_version,
    'epoch'::timestamptz + (('x' || left(replace(u.request_id::text, '-', ''), 12))::bit(48)::bigint
      + coalesce(u.start_offset_wide, u.start_offset_ms, 0)) * interval '1 millisecond' as started_at,
    coalesce(u.duration_ms, 0)::bigint as duration_ms, u.first_byte_ms::bigint as first_byte_ms,
    coalesce(u.tokens_input, 0)::bigint as tokens_input, coalesce(u.tokens_cached_input, 0)::bigint as tokens_cached_input,
    coalesce(u.tokens_cache_write, 0)::bigint as tokens_cache_write,
    coalesce(u.tokens_cache_write_1h, 0)::bigint as tokens_cache_write_1h,
    coalesce(u.tokens_output, 0)::bigint as tokens_output, coalesce(u.tokens_reasoning, 0)::bigint as tokens_reasoning,
    u.image_count::bigint as image_count, s.image_variant, coalesce(u.audio_ms, 0)::bigint as audio_ms, s.price_group,
    coalesce(u.hold_wide, u.hold) as hold, coalesce(u.cost_wide, u.cost) as cost,
    coalesce(u.charged, u.cost_wide, u.cost) as charged,
    s.route, s.model, s.channel, s.status, s.error_code, s.http_status, s.streamed, s.estimated, s.charge_mismatch
  from usage_row u
  join balance b on b.account_no = u.account_no
  join usage_key k on k.no = u.key_no
  join usage_shape s on s.no = u.shape_no
  left join lease l on l.epoch = u.stream >> 4 and l.request_no = u.lease_no
  where u.request_id is not null;

-- The JSON of a shape, as apply_batch gets it and digests it.
create function usage_shape_no(p_shape jsonb) returns integer
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_digest uuid := md5(p_shape::text)::uuid;
  v_no integer;
begin
  select no into v_no from usage_shape where digest = v_digest;
  if v_no is not null then return v_no; end if;
  insert into usage_shape (digest, price_version, route, model, channel, status, http_status, error_code, streamed, estimated,
      charge_mismatch, price_group, image_variant)
    values (v_digest, (p_shape ->> 0)::uuid, p_shape ->> 1, p_shape ->> 2, p_shape ->> 3, p_shape ->> 4,
      (p_shape ->> 5)::smallint, p_shape ->> 6, (p_shape ->> 7)::boolean, (p_shape ->> 8)::boolean, (p_shape ->> 9)::boolean,
      p_shape ->> 10, p_shape ->> 11)
    on conflict do nothing returning no into v_no;
  if v_no is null then select no into v_no from usage_shape where digest = v_digest; end if;
  return v_no;
end $$;

do $$
declare
  v_day bigint;
begin
  for v_day in select distinct epoch / 1000000 from usage_event_wide loop
    perform ensure_usage_day(v_day);
  end loop;
  perform ensure_balance(account_id) from usage_event_wide;
end $$;
insert into usage_key (key_id) select distinct key_id from usage_event_wide where key_id is not null;
insert into usage_row (stream, seq, batch_id, request_id, account_no, payload_hash, key_no, shape_no, lease_no, lease_id,
    cost, cost_wide, hold, hold_wide, charged, duration_ms, first_byte_ms, start_offset_ms, tokens_input, tokens_output,
    tokens_cached_input, tokens_cache_write, tokens_reasoning, lease_settled)
  select w.epoch * 16 + w.partition, w.seq, w.batch_id, w.request_id, b.account_no,
    ('x' || lpad(right(to_hex(w.payload_hash), 8), 8, '0'))::bit(32)::integer, k.no,
    case when w.request_id is not null then usage_shape_no(jsonb_build_array(w.price_version, w.route, w.model, w.channel, w.status,
      w.http_status, w.error_code, w.streamed, w.estimated, w.charge_mismatch, 'default', null)) end,
    l.request_no, case when l.id is null then w.lease_id end,
    case when w.cost < 2147483648 then w.cost end, case when w.cost >= 2147483648 then w.cost end,
    case when w.hold < 2147483648 then w.hold end, case when w.hold >= 2147483648 then w.hold end,
    case when w.charged <> w.cost then w.charged end, nullif(w.duration_ms, 0), w.first_byte_ms,
    nullif((extract(epoch from w.started_at) * 1000)::bigint
      - ('x' || left(replace(w.request_id::text, '-', ''), 12))::bit(48)::bigint, 0),
    nullif(w.tokens_input, 0), nullif(w.tokens_output, 0), nullif(w.tokens_cached_input, 0), nullif(w.tokens_cache_write, 0),
    nullif(w.tokens_reasoning, 0), w.lease_settled
  from usage_event_wide w
  join balance b on b.account_id = w.account_id
  left join usage_key k on k.key_id = w.key_id
  left join lease l on l.id = w.lease_id and l.epoch = w.epoch and l.request_no < 2147483648;
drop table usage_event_wide;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  revoke execute on function ensure_usage_day(bigint) from public;
  revoke execute on function usage_shape_no(jsonb) from public;
  if v_role = '' then return; end if;
  execute format('revoke insert, update, delete, truncate on table usage_row, usage_key, usage_shape, usage_event, usage_line from %I', v_role);
  execute format('revoke execute on function ensure_usage_day(bigint), usage_shape_no(jsonb) from %I', v_role);
end $$;
`;
