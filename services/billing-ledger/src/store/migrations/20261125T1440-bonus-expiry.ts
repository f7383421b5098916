/**
 * Bonus that expires.
 *
 * Glossary
 *   credit     the transfer that gave the bonus; `version` is its number in the chain of the bonus bucket
 *   remainder  what of a credit is not spent. The oldest credit is spent first, so what is in the bucket belongs to the newest
 *              credits: remainder = bucket − what is left of newer credits, within 0 and the credit. No line of usage has to say
 *              which credit it took from.
 *   expiry     a transfer of kind 'expiry' back to promo, of the remainder, but never more than is debitable: what leases hold is
 *              spent or comes back, and the rest is taken in a later round
 *
 * Lock order: money_command → balance → bonus_expiry → operator_balance.
 */
export const bonusExpiry = `
create table bonus_expiry (
  transfer_id uuid primary key,
  account_id uuid not null,
  version bigint not null,
  amount bigint not null check (amount > 0),
  shard smallint not null,
  expires_at timestamptz not null,
  next_try_at timestamptz not null,
  taken bigint not null default 0 check (taken between 0 and amount),
  state text not null default 'running' check (state in ('running', 'ended')),
  created_at timestamptz not null default now()
) with (fillfactor = 80);
create index bonus_expiry_due on bonus_expiry (next_try_at) where state = 'running';
create unique index bonus_expiry_account on bonus_expiry (account_id, version);
create trigger bonus_expiry_lifecycle before insert or update or delete on bonus_expiry
  for each row execute function guard_lifecycle('running', 'state,taken,next_try_at');
create trigger bonus_expiry_kept before truncate on bonus_expiry for each statement execute function refuse_change();

-- credit_account of a bonus that expires. Same answer.
create function credit_expiring(
  p_key text, p_input_hash bytea, p_transfer_id uuid, p_account_id uuid, p_bucket text,
  p_operator_kind text, p_shard smallint, p_amount bigint, p_reason text, p_expires_at timestamptz
) returns table (
  outcome text, transfer_id uuid, paid bigint, bonus bigint, reserved bigint, version bigint
)
language plpgsql security definer set search_path = billing, pg_temp as $$
#variable_conflict use_column
declare
  v_credit record;
begin
  if p_bucket <> 'bonus' or p_expires_at is null then
    raise exception 'only a bonus expires' using errcode = 'invalid_parameter_value';
  end if;
  select * into v_credit from credit_account(
    p_key, p_input_hash, p_transfer_id, p_account_id, p_bucket, p_operator_kind, p_shard, p_amount, p_reason);
  if v_credit.outcome = 'posted' then
    insert into bonus_expiry (transfer_id, account_id, version, amount, shard, expires_at, next_try_at)
      select p_transfer_id, p_account_id, b.bonus_version, p_amount, p_shard, p_expires_at, p_expires_at
      from balance b where b.account_id = p_account_id;
  end if;
  return query select v_credit.outcome, v_credit.transfer_id, v_credit.paid, v_credit.bonus, v_credit.reserved, v_credit.version;
end $$;

create function bonus_remainder(p_credit bonus_expiry, p_balance balance) returns bigint
language sql stable set search_path = billing, pg_temp as $$
  select case when p_balance.bonus = 0 then 0 else greatest(0, least(p_credit.amount - p_credit.taken, p_balance.bonus
    - coalesce((select sum(e.amount) from entry e
        where e.ledger_account_id = p_balance.bonus_account_id and e.version > p_credit.version and e.amount > 0), 0)
    + coalesce((select sum(x.taken) from bonus_expiry x
        where x.account_id = p_credit.account_id and x.version > p_credit.version), 0)))::bigint end
$$;

-- Takes back what is left of at most p_limit credits whose time is over; any number of callers at once. Answers the new balances,
-- one an account.
create function expire_bonuses(p_limit integer) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_due record;
  v_credit bonus_expiry;
  v_balance balance;
  v_left bigint;
  v_take bigint;
  v_balances jsonb := '{}';
begin
  for v_due in
    select d.transfer_id, d.account_id from (
      select transfer_id, account_id, version from bonus_expiry where state = 'running' and next_try_at <= now()
      order by next_try_at limit p_limit
    ) d order by d.account_id, d.version
  loop
    v_balance := lock_balance(v_due.account_id);
    select * into v_credit from bonus_expiry where transfer_id = v_due.transfer_id for update;
    continue when v_credit.state <> 'running' or v_credit.next_try_at > now();
    v_left := bonus_remainder(v_credit, v_balance);
    v_take := least(v_left, debitable(v_balance, 'bonus'));
    if v_take > 0 then
      v_balance := post_transfer(uuid_v7(), 'expiry', v_credit.account_id, 'bonus', 'debit', 'promo', v_credit.shard, v_take,
        'bonus expired');
      v_balances := v_balances || jsonb_build_object(v_balance.account_id::text, balance_json(v_balance));
    end if;
    update bonus_expiry set taken = taken + v_take, state = case when v_take = v_left then 'ended' else 'running' end,
        next_try_at = case when v_take = v_left then next_try_at else now() + interval '1 minute' end
      where transfer_id = v_credit.transfer_id;
  end loop;
  return coalesce((select jsonb_agg(value) from jsonb_each(v_balances)), '[]');
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke insert, update, delete, truncate on table bonus_expiry from %I', v_role);
end $$;
`;
