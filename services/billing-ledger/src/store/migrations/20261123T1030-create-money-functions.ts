/**
 * The doors to money besides `apply_batch`. They run with the owner's rights, because the service's role may not write
 * balances, leases, transfers or entries itself (SEC-107). Lock order everywhere: money_command → cursor → balance →
 * lease → operator_balance.
 */
export const createMoneyFunctions = `
create function ensure_balance(p_account_id uuid) returns void
language plpgsql security definer set search_path = billing, pg_temp as $$
begin
  insert into ledger_account (kind, account_id) values ('customer_paid', p_account_id), ('customer_bonus', p_account_id)
    on conflict do nothing;
  insert into balance (account_id, paid_account_id, bonus_account_id)
    select p_account_id,
      (select id from ledger_account where account_id = p_account_id and kind = 'customer_paid'),
      (select id from ledger_account where account_id = p_account_id and kind = 'customer_bonus')
    on conflict do nothing;
end $$;

-- Idempotent by (epoch, request_no). Size: docs/adr/0003 and domain/lease-size.ts, which a test holds equal to this.
create function grant_lease(
  p_lease_id uuid, p_epoch bigint, p_request_no bigint, p_account_id uuid, p_partition smallint,
  p_minimum bigint, p_want bigint, p_ttl_ms integer
) returns table (outcome text, lease_id uuid, granted bigint, ttl_ms integer, available bigint, held bigint)
language plpgsql security definer set search_path = billing, pg_temp as $$
#variable_conflict use_column
declare
  v_lease lease;
  v_balance balance;
  v_available bigint;
  v_holders bigint;
  v_granted bigint;
begin
  if p_minimum < 0 or p_want < p_minimum then
    raise exception 'lease bounds are wrong: minimum %, want %', p_minimum, p_want using errcode = 'invalid_parameter_value';
  end if;
  select * into v_balance from balance where account_id = p_account_id for update;
  if not found then
    -- A free model needs a lease as well; money nobody has is refused without leaving a row behind.
    if p_minimum > 0 then
      return query select 'insufficient_balance', null::uuid, null::bigint, null::integer, 0::bigint, 0::bigint;
      return;
    end if;
    perform ensure_balance(p_account_id);
    select * into v_balance from balance where account_id = p_account_id for update;
  end if;
  select * into v_lease from lease where epoch = p_epoch and request_no = p_request_no;
  if found then
    if v_lease.account_id <> p_account_id then
      raise exception 'epoch %, request % belongs to another account', p_epoch, p_request_no using errcode = 'unique_violation';
    end if;
    return query select 'granted', v_lease.id, v_lease.granted, v_lease.ttl_ms, null::bigint, null::bigint;
    return;
  end if;
  v_available := v_balance.paid + v_balance.bonus - v_balance.reserved;
  if v_balance.frozen_at is not null then
    return query select 'account_frozen', null::uuid, null::bigint, null::integer, v_available, v_balance.reserved;
    return;
  end if;
  if v_available < p_minimum then
    return query select 'insufficient_balance', null::uuid, null::bigint, null::integer, v_available, v_balance.reserved;
    return;
  end if;
  select count(distinct epoch) + 1 into v_holders from lease
    where account_id = p_account_id and state in ('open', 'closing') and epoch <> p_epoch;
  v_granted := greatest(p_minimum, least(p_want, v_available / (2 * v_holders)));
  insert into lease (id, account_id, epoch, request_no, partition, granted, ttl_ms)
    values (p_lease_id, p_account_id, p_epoch, p_request_no, p_partition, v_granted, p_ttl_ms);
  update balance set reserved = reserved + v_granted, version = version + 1, updated_at = now()
    where account_id = p_account_id;
  return query select 'granted', p_lease_id, v_granted, p_ttl_ms, null::bigint, null::bigint;
end $$;

-- Moves money from an operator account to a customer's bucket, once a key. The same key with another input moves nothing.
create function credit_account(
  p_key text, p_input_hash bytea, p_transfer_id uuid, p_account_id uuid, p_bucket text,
  p_operator_kind text, p_shard smallint, p_amount bigint, p_reason text
) returns table (
  outcome text, transfer_id uuid, paid bigint, bonus bigint, reserved bigint, version bigint
)
language plpgsql security definer set search_path = billing, pg_temp as $$
#variable_conflict use_column
declare
  v_command money_command;
  v_balance balance;
  v_operator operator_balance;
begin
  insert into money_command (key, input_hash, transfer_id) values (p_key, p_input_hash, p_transfer_id)
    on conflict do nothing;
  if not found then
    select * into v_command from money_command where key = p_key;
    select * into v_balance from balance where account_id = p_account_id;
    return query select case when v_command.input_hash = p_input_hash then 'replayed' else 'conflict' end,
      v_command.transfer_id, v_balance.paid, v_balance.bonus, v_balance.reserved, v_balance.version;
    return;
  end if;
  if p_bucket not in ('paid', 'bonus') then
    raise exception 'unknown bucket %', p_bucket using errcode = 'invalid_parameter_value';
  end if;
  perform ensure_balance(p_account_id);
  perform 1 from balance where account_id = p_account_id for update;
  update balance set
      paid = paid + case when p_bucket = 'paid' then p_amount else 0 end,
      paid_version = paid_version + case when p_bucket = 'paid' then 1 else 0 end,
      bonus = bonus + case when p_bucket = 'bonus' then p_amount else 0 end,
      bonus_version = bonus_version + case when p_bucket = 'bonus' then 1 else 0 end,
      version = version + 1, updated_at = now()
    where account_id = p_account_id returning * into v_balance;
  update operator_balance o set posted = o.posted - p_amount, version = o.version + 1
    from ledger_account a
    where a.kind = p_operator_kind and a.shard = p_shard and a.account_id is null and o.ledger_account_id = a.id
    returning o.* into strict v_operator;
  insert into transfer (id, kind, debit_account_id, credit_account_id, amount, reason)
    values (p_transfer_id, 'grant', v_operator.ledger_account_id,
      case when p_bucket = 'paid' then v_balance.paid_account_id else v_balance.bonus_account_id end, p_amount, p_reason);
  insert into entry (ledger_account_id, version, amount, balance_after, transfer_id) values
    (v_operator.ledger_account_id, v_operator.version, -p_amount, v_operator.posted, p_transfer_id),
    (case when p_bucket = 'paid' then v_balance.paid_account_id else v_balance.bonus_account_id end,
     case when p_bucket = 'paid' then v_balance.paid_version else v_balance.bonus_version end, p_amount,
     case when p_bucket = 'paid' then v_balance.paid else v_balance.bonus end, p_transfer_id);
  return query select 'posted', p_transfer_id, v_balance.paid, v_balance.bonus, v_balance.reserved, v_balance.version;
end $$;
`;
