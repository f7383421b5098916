/**
 * The one machine that moves money by command (usage has `apply_batch`), and two-phase debits.
 *
 * How to build an operation on it. Write a function of your own (`security definer set search_path = billing, pg_temp`,
 * executable by the service's role) that does, in this order, within the caller's one transaction:
 *
 *     v_known := begin_command(p_key, p_input_hash);      -- serialises equal keys until the transaction ends
 *     if v_known.key is not null then                      -- done before: tell the stored result, or that the input differs
 *       return replay_command(v_known, p_input_hash);
 *     end if;
 *     … lock, check, and return a refusal (nothing was written yet, so the same key may be tried again) …
 *     v_balance := post_transfer(uuid_v7(), 'voucher', p_account_id, 'bonus', 'credit', 'promo', p_shard, p_amount, p_reason);
 *     perform end_command(p_key, p_input_hash, v_transfer_id, v_result);   -- the result is kept for ever
 *     return jsonb_build_object('outcome', 'posted', 'result', v_result, 'balance', balance_json(v_balance));
 *
 * and let the store write the outbox row of `balance.changed` from `balance` in the same transaction (store/operations-store.ts).
 * `move_money` is just that for an operation which is one move and nothing else.
 *
 * Glossary
 *   command    a key, the SHA-256 of everything that must be equal for a repeat, the result. Refusals are not kept.
 *   direction  `credit` = operator account → customer's bucket, `debit` = the way back
 *   debitable  what a debit by command may take from a bucket: not more than the bucket, not what a pending debit is to
 *              take, and not more than is available, so that leases stay honoured
 *   pending    a debit that is decided outside (money on its way to a payment provider):
 *
 *                  pend ──▶ pending ──post──▶ posted    `posted_amount` (whole or part) has moved, the rest is free again
 *                              └──────void──▶ voided    by command, or by the job once `expires_at` has passed
 *
 *              It counts into balance.reserved while it is pending, is resolved at most once, and posts at most its amount.
 *              Only the paid bucket: usage burns the bonus first, so a promise of bonus could not be kept, while
 *              paid ≥ Σ pending holds through every batch (paid + bonus ≥ leases + pending, and leases burn bonus first).
 *
 * Lock order: money_command → cursor → balance → lease → key_budget → pending_transfer → operator_balance.
 */
export const moneyMachine = `
alter table money_command alter column transfer_id drop not null;
alter table money_command add column result jsonb;

-- A row leaves its first state once and is final then; before, only the listed columns change. Arguments: the first state,
-- and the columns that may change, with commas.
create function guard_lifecycle() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if new.state <> tg_argv[0] then
      raise exception 'a row of % begins as %', tg_table_name, tg_argv[0] using errcode = 'restrict_violation';
    end if;
    return new;
  end if;
  if tg_op = 'DELETE' or old.state <> tg_argv[0]
    or (to_jsonb(new) - string_to_array(tg_argv[1], ',')) <> (to_jsonb(old) - string_to_array(tg_argv[1], ',')) then
    raise exception '% keeps what it says: % refused', tg_table_name, lower(tg_op) using errcode = 'restrict_violation';
  end if;
  return new;
end $$;

create table pending_transfer (
  id uuid primary key,
  account_id uuid not null references balance (account_id),
  bucket text not null default 'paid' check (bucket = 'paid'),
  direction text not null default 'debit' check (direction = 'debit'),
  kind text not null check (kind in ('payment_refund', 'dispute', 'adjustment')),
  operator_account_id uuid not null,
  operator_kind text not null,
  shard smallint not null,
  amount bigint not null check (amount > 0),
  reason text not null,
  state text not null default 'pending' check (state in ('pending', 'posted', 'voided')),
  posted_amount bigint check (posted_amount between 1 and amount),
  transfer_id uuid,
  void_reason text,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  resolved_at timestamptz,
  check ((state = 'pending') = (resolved_at is null)),
  check ((state = 'posted') = (posted_amount is not null) and (state = 'posted') = (transfer_id is not null)),
  check ((state = 'voided') = (void_reason is not null))
);
create index pending_transfer_live on pending_transfer (account_id) where state = 'pending';
create index pending_transfer_expiry on pending_transfer (expires_at) where state = 'pending';
create trigger pending_transfer_lifecycle before insert or update or delete on pending_transfer
  for each row execute function guard_lifecycle('pending', 'state,posted_amount,transfer_id,void_reason,resolved_at');
create trigger pending_transfer_kept before truncate on pending_transfer
  for each statement execute function refuse_change();

create function begin_command(p_key text, p_input_hash bytea) returns money_command
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_command money_command;
begin
  if p_key is null or length(p_key) not between 8 and 200 or p_input_hash is null or length(p_input_hash) <> 32 then
    raise exception 'a command needs a key of 8 to 200 characters and a SHA-256' using errcode = 'invalid_parameter_value';
  end if;
  -- Held to the end of the transaction: the second of a race waits here and then reads what the first one kept.
  perform pg_advisory_xact_lock(hashtextextended('billing.money_command ' || p_key, 0));
  select * into v_command from money_command where key = p_key;
  return v_command;
end $$;

create function replay_command(p_known money_command, p_input_hash bytea) returns jsonb
language sql immutable set search_path = billing, pg_temp as $$
  select case when p_known.input_hash = p_input_hash
    then jsonb_build_object('outcome', 'replayed', 'result', p_known.result)
    else jsonb_build_object('outcome', 'conflict') end
$$;

create function end_command(p_key text, p_input_hash bytea, p_transfer_id uuid, p_result jsonb) returns void
language sql security definer set search_path = billing, pg_temp as $$
  insert into money_command (key, input_hash, transfer_id, result) values (p_key, p_input_hash, p_transfer_id, p_result)
$$;

-- What the outbox row of balance.changed is made of; int8 as text, so that no digit is lost.
create function balance_json(p_balance balance) returns jsonb language sql immutable set search_path = billing, pg_temp as $$
  select jsonb_build_object('account_id', p_balance.account_id, 'paid', p_balance.paid::text, 'bonus', p_balance.bonus::text,
    'reserved', p_balance.reserved::text, 'version', p_balance.version::text)
$$;

-- p_release: what becomes free in the same step (the pending debit that is being posted).
create function debitable(p_balance balance, p_bucket text, p_release bigint default 0) returns bigint
language sql stable security definer set search_path = billing, pg_temp as $$
  select greatest(0, least(
    case when p_bucket = 'paid' then p_balance.paid - coalesce((
      select sum(amount) from pending_transfer where account_id = p_balance.account_id and state = 'pending'), 0)::bigint
    else p_balance.bonus end,
    p_balance.paid + p_balance.bonus - p_balance.reserved + p_release))
$$;

create function lock_balance(p_account_id uuid) returns balance
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_balance balance;
begin
  perform ensure_balance(p_account_id);
  select * into v_balance from balance where account_id = p_account_id for update;
  return v_balance;
end $$;

-- One transfer, both entries in one statement, the new balance. Raises when the money is not there: who wants to refuse
-- politely asks debitable() first, under the lock of lock_balance().
create function post_transfer(
  p_transfer_id uuid, p_kind text, p_account_id uuid, p_bucket text, p_direction text, p_operator_kind text, p_shard smallint,
  p_amount bigint, p_reason text, p_release bigint default 0
) returns balance
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_balance balance;
  v_operator operator_balance;
  v_delta bigint := case p_direction when 'credit' then p_amount when 'debit' then -p_amount end;
  v_bucket_id uuid;
begin
  if v_delta is null or p_amount <= 0 or p_bucket is null or p_bucket not in ('paid', 'bonus') then
    raise exception 'a transfer needs an amount above 0, a direction and a bucket; got %, %, %', p_amount, p_direction, p_bucket
      using errcode = 'invalid_parameter_value';
  end if;
  v_balance := lock_balance(p_account_id);
  if p_direction = 'debit' and p_amount > debitable(v_balance, p_bucket, p_release) then
    raise exception 'the % bucket cannot give %', p_bucket, p_amount using errcode = 'check_violation';
  end if;
  update balance set
      paid = paid + case when p_bucket = 'paid' then v_delta else 0 end,
      paid_version = paid_version + case when p_bucket = 'paid' then 1 else 0 end,
      bonus = bonus + case when p_bucket = 'bonus' then v_delta else 0 end,
      bonus_version = bonus_version + case when p_bucket = 'bonus' then 1 else 0 end,
      reserved = reserved - p_release, version = version + 1, updated_at = now()
    where account_id = p_account_id returning * into v_balance;
  update operator_balance o set posted = o.posted - v_delta, version = o.version + 1
    from ledger_account a
    where a.kind = p_operator_kind and a.shard = p_shard and a.account_id is null and o.ledger_account_id = a.id
    returning o.* into strict v_operator;
  v_bucket_id := case when p_bucket = 'paid' then v_balance.paid_account_id else v_balance.bonus_account_id end;
  insert into transfer (id, kind, debit_account_id, credit_account_id, amount, reason)
    values (p_transfer_id, p_kind,
      case when v_delta > 0 then v_operator.ledger_account_id else v_bucket_id end,
      case when v_delta > 0 then v_bucket_id else v_operator.ledger_account_id end, p_amount, p_reason);
  insert into entry (ledger_account_id, version, amount, balance_after, transfer_id) values
    (v_operator.ledger_account_id, v_operator.version, -v_delta, v_operator.posted, p_transfer_id),
    (v_bucket_id, case when p_bucket = 'paid' then v_balance.paid_version else v_balance.bonus_version end, v_delta,
     case when p_bucket = 'paid' then v_balance.paid else v_balance.bonus end, p_transfer_id);
  return v_balance;
end $$;

-- Answer: {outcome: posted, result: {transfer_id}, balance} | {outcome: replayed, result} | {outcome: conflict}
--   | {outcome: insufficient_balance, debitable}.
create function move_money(
  p_key text, p_input_hash bytea, p_transfer_id uuid, p_kind text, p_account_id uuid, p_bucket text, p_direction text,
  p_operator_kind text, p_shard smallint, p_amount bigint, p_reason text
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_balance balance;
  v_result jsonb := jsonb_build_object('transfer_id', p_transfer_id);
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  if p_direction = 'debit' then
    select * into v_balance from balance where account_id = p_account_id for update;
    if coalesce(debitable(v_balance, p_bucket), 0) < p_amount then
      return jsonb_build_object('outcome', 'insufficient_balance', 'debitable', coalesce(debitable(v_balance, p_bucket), 0)::text);
    end if;
  end if;
  v_balance := post_transfer(p_transfer_id, p_kind, p_account_id, p_bucket, p_direction, p_operator_kind, p_shard, p_amount, p_reason);
  perform end_command(p_key, p_input_hash, p_transfer_id, v_result);
  return jsonb_build_object('outcome', 'posted', 'result', v_result, 'balance', balance_json(v_balance));
end $$;

-- The grant by command, now a user of the machine. Same signature and answer as before.
create or replace function credit_account(
  p_key text, p_input_hash bytea, p_transfer_id uuid, p_account_id uuid, p_bucket text,
  p_operator_kind text, p_shard smallint, p_amount bigint, p_reason text
) returns table (
  outcome text, transfer_id uuid, paid bigint, bonus bigint, reserved bigint, version bigint
)
language plpgsql security definer set search_path = billing, pg_temp as $$
#variable_conflict use_column
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_balance balance;
begin
  if v_known.key is not null then
    select * into v_balance from balance where account_id = p_account_id;
    return query select case when v_known.input_hash = p_input_hash then 'replayed' else 'conflict' end,
      v_known.transfer_id, v_balance.paid, v_balance.bonus, v_balance.reserved, v_balance.version;
    return;
  end if;
  v_balance := post_transfer(
    p_transfer_id, 'grant', p_account_id, p_bucket, 'credit', p_operator_kind, p_shard, p_amount, p_reason);
  perform end_command(p_key, p_input_hash, p_transfer_id, null);
  return query select 'posted', p_transfer_id, v_balance.paid, v_balance.bonus, v_balance.reserved, v_balance.version;
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
  v_function text;
begin
  foreach v_function in array array[
    'begin_command(text, bytea)', 'end_command(text, bytea, uuid, jsonb)', 'lock_balance(uuid)',
    'debitable(balance, text, bigint)',
    'post_transfer(uuid, text, uuid, text, text, text, smallint, bigint, text, bigint)',
    'move_money(text, bytea, uuid, text, uuid, text, text, text, smallint, bigint, text)'
  ] loop
    execute format('revoke execute on function %s from public', v_function);
    if v_role <> '' then execute format('revoke execute on function %s from %I', v_function, v_role); end if;
  end loop;
  if v_role <> '' then execute format('revoke insert, update, delete, truncate on table pending_transfer from %I', v_role); end if;
end $$;
`;
