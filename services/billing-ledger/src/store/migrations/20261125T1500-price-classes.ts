/**
 * Prices for every class, scheduled versions, and what operators do to prices.
 *
 * Glossary
 *   per_image, tiers, off_peak, groups  arrays in the wire form of the contract (`modelPrice`, `priceBook`), amounts as decimal
 *                   text: parsed by it on the way in and on the way out
 *   scheduled       a version whose `effective_at` is still to come
 *   cancelled       a scheduled version that will not come: a row of its own, because price tables are append-only. It cannot
 *                   be cancelled once it is in force.
 *   price command   the idempotency key of a request that made a version; refusals are not kept
 *   price act       who changed what about prices, and why; append-only
 */
export const priceClasses = `
alter table price_row
  add column rate_cache_write_1h bigint check (rate_cache_write_1h >= 0),
  add column per_audio_second bigint not null default 0 check (per_audio_second >= 0),
  add column per_image jsonb not null default '[]' check (jsonb_typeof(per_image) = 'array'),
  add column tiers jsonb not null default '[]' check (jsonb_typeof(tiers) = 'array'),
  add column off_peak jsonb not null default '[]' check (jsonb_typeof(off_peak) = 'array');
comment on column price_row.rate_cache_write_1h is 'null in versions of before the class: as rate_cache_write';

alter table price_version
  add column groups jsonb not null default '[]' check (jsonb_typeof(groups) = 'array'),
  add column created_by uuid;

create table price_version_cancelled (
  price_version uuid primary key references price_version (id),
  cancelled_by uuid not null,
  reason text not null check (length(reason) between 3 and 500),
  cancelled_at timestamptz not null default clock_timestamp()
);
create trigger price_version_cancelled_append_only before update or delete or truncate on price_version_cancelled
  for each statement execute function refuse_change();

create view live_price_version as
  select v.* from price_version v
  where not exists (select from price_version_cancelled c where c.price_version = v.id);

create table price_command (
  key text primary key check (length(key) between 8 and 200),
  input_hash bytea not null check (length(input_hash) = 32),
  price_version uuid not null references price_version (id),
  created boolean not null,
  created_at timestamptz not null default now()
);
create trigger price_command_append_only before update or delete or truncate on price_command
  for each statement execute function refuse_change();

create table price_act (
  id uuid primary key default uuid_v7(),
  actor uuid not null,
  act text not null check (act in ('version_cancelled', 'group_set')),
  target uuid not null,
  before text,
  after text,
  reason text not null check (length(reason) between 3 and 500),
  at timestamptz not null default clock_timestamp(),
  constraint price_act_not_own_account check (act <> 'group_set' or actor <> target)
);
create index price_act_target on price_act (target, id desc);
create trigger price_act_append_only before update or delete or truncate on price_act
  for each statement execute function refuse_change();

-- One change of versions at a time: an import decides by what is in force when it comes.
create function lock_price_versions() returns void language sql set search_path = billing, pg_temp as $$
  select pg_advisory_xact_lock(hashtextextended('billing.price_book', 0))
$$;

-- cancelled | in_force | missing; a repeat by anybody answers cancelled and writes nothing.
create function cancel_price_version(p_version uuid, p_actor uuid, p_reason text) returns text
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_effective_at timestamptz;
begin
  perform lock_price_versions();
  select effective_at into v_effective_at from price_version where id = p_version;
  if not found then return 'missing'; end if;
  if exists (select from price_version_cancelled where price_version = p_version) then return 'cancelled'; end if;
  if v_effective_at <= clock_timestamp() then return 'in_force'; end if;
  insert into price_version_cancelled (price_version, cancelled_by, reason) values (p_version, p_actor, p_reason);
  insert into price_act (actor, act, target, reason) values (p_actor, 'version_cancelled', p_version, p_reason);
  return 'cancelled';
end $$;

-- The group before. Leases granted from now on carry the new one; requests on older leases keep the old.
create function set_price_group(p_account_id uuid, p_group text, p_actor uuid, p_reason text) returns text
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_before text;
begin
  perform ensure_balance(p_account_id);
  select price_group into v_before from balance where account_id = p_account_id for update;
  if v_before = p_group then return v_before; end if;
  update balance set price_group = p_group, updated_at = clock_timestamp() where account_id = p_account_id;
  insert into price_act (actor, act, target, before, after, reason)
    values (p_actor, 'group_set', p_account_id, v_before, p_group, p_reason);
  return v_before;
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke insert, update, delete, truncate on table price_version_cancelled, price_act, live_price_version from %I', v_role);
  execute format('revoke update, delete, truncate on table price_command from %I', v_role);
end $$;
`;
