/**
 * Pend, post, void: the three commands of a two-phase debit, and its expiry. The states stand in the money machine.
 *
 * Each is idempotent by key and input hash. Answers: {outcome: pended | posted | voided, result, balance} when it was done now;
 * {outcome: replayed, result}; {outcome: conflict}; or a refusal that wrote nothing: insufficient_balance (with debitable),
 * not_found, already_resolved (with state), expired, exceeds_pending.
 */
export const pendingTransfers = `
create function pend_transfer(
  p_key text, p_input_hash bytea, p_pending_id uuid, p_kind text, p_account_id uuid, p_operator_kind text, p_shard smallint,
  p_amount bigint, p_reason text, p_expires_at timestamptz
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_balance balance;
  v_debitable bigint;
  v_operator uuid;
  v_result jsonb := jsonb_build_object('pending_id', p_pending_id);
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  if p_amount <= 0 or p_expires_at <= now() then
    raise exception 'a pending debit needs an amount above 0 and an expiry to come' using errcode = 'invalid_parameter_value';
  end if;
  select id into strict v_operator from ledger_account where kind = p_operator_kind and shard = p_shard and account_id is null;
  select * into v_balance from balance where account_id = p_account_id for update;
  v_debitable := coalesce(debitable(v_balance, 'paid'), 0);
  if v_debitable < p_amount then
    return jsonb_build_object('outcome', 'insufficient_balance', 'debitable', v_debitable::text);
  end if;
  insert into pending_transfer (id, account_id, kind, operator_account_id, operator_kind, shard, amount, reason, expires_at)
    values (p_pending_id, p_account_id, p_kind, v_operator, p_operator_kind, p_shard, p_amount, p_reason, p_expires_at);
  update balance set reserved = reserved + p_amount, version = version + 1, updated_at = now()
    where account_id = p_account_id returning * into v_balance;
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'pended', 'result', v_result, 'balance', balance_json(v_balance));
end $$;

-- Locks the balance, then the row. Null when there is no such row.
create function lock_pending(p_pending_id uuid) returns pending_transfer
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_pending pending_transfer;
begin
  perform 1 from balance where account_id = (select account_id from pending_transfer where id = p_pending_id) for update;
  select * into v_pending from pending_transfer where id = p_pending_id for update;
  return v_pending;
end $$;

-- p_amount null: the whole.
create function post_pending(p_key text, p_input_hash bytea, p_pending_id uuid, p_amount bigint, p_transfer_id uuid) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_pending pending_transfer;
  v_balance balance;
  v_amount bigint;
  v_result jsonb;
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  v_pending := lock_pending(p_pending_id);
  if v_pending.id is null then return jsonb_build_object('outcome', 'not_found'); end if;
  if v_pending.state <> 'pending' then
    return jsonb_build_object('outcome', 'already_resolved', 'state', v_pending.state);
  end if;
  -- The job that voids it may be late; the answer does not depend on that.
  if v_pending.expires_at <= now() then return jsonb_build_object('outcome', 'expired'); end if;
  v_amount := coalesce(p_amount, v_pending.amount);
  if v_amount > v_pending.amount then
    return jsonb_build_object('outcome', 'exceeds_pending', 'amount', v_pending.amount::text);
  end if;
  update pending_transfer set state = 'posted', posted_amount = v_amount, transfer_id = p_transfer_id, resolved_at = now()
    where id = p_pending_id;
  v_balance := post_transfer(p_transfer_id, v_pending.kind, v_pending.account_id, v_pending.bucket, v_pending.direction,
    v_pending.operator_kind, v_pending.shard, v_amount, v_pending.reason, v_pending.amount);
  v_result := jsonb_build_object('pending_id', p_pending_id, 'transfer_id', p_transfer_id, 'amount', v_amount::text);
  perform end_command(p_key, p_input_hash, p_transfer_id, v_result);
  return jsonb_build_object('outcome', 'posted', 'result', v_result, 'balance', balance_json(v_balance));
end $$;

-- The row is locked and pending.
create function release_pending(p_pending pending_transfer, p_reason text) returns balance
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_balance balance;
begin
  update pending_transfer set state = 'voided', void_reason = p_reason, resolved_at = now() where id = p_pending.id;
  update balance set reserved = reserved - p_pending.amount, version = version + 1, updated_at = now()
    where account_id = p_pending.account_id returning * into v_balance;
  return v_balance;
end $$;

create function void_pending(p_key text, p_input_hash bytea, p_pending_id uuid, p_reason text) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_pending pending_transfer;
  v_balance balance;
  v_result jsonb := jsonb_build_object('pending_id', p_pending_id);
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  v_pending := lock_pending(p_pending_id);
  if v_pending.id is null then return jsonb_build_object('outcome', 'not_found'); end if;
  if v_pending.state <> 'pending' then
    return jsonb_build_object('outcome', 'already_resolved', 'state', v_pending.state);
  end if;
  v_balance := release_pending(v_pending, p_reason);
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'voided', 'result', v_result, 'balance', balance_json(v_balance));
end $$;

-- Voids at most p_limit pending debits whose time is over; any number of callers at once. Answers their new balances, one
-- an account.
create function expire_pending_transfers(p_limit integer) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_due record;
  v_pending pending_transfer;
  v_balance balance;
  v_balances jsonb := '{}';
begin
  for v_due in
    select id from pending_transfer where state = 'pending' and expires_at <= now()
    order by account_id, id limit p_limit
  loop
    v_pending := lock_pending(v_due.id);
    continue when v_pending.state <> 'pending';
    v_balance := release_pending(v_pending, 'expired');
    v_balances := v_balances || jsonb_build_object(v_balance.account_id::text, balance_json(v_balance));
  end loop;
  return coalesce((select jsonb_agg(value) from jsonb_each(v_balances)), '[]');
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
  v_function text;
begin
  foreach v_function in array array['lock_pending(uuid)', 'release_pending(pending_transfer, text)'] loop
    execute format('revoke execute on function %s from public', v_function);
    if v_role <> '' then execute format('revoke execute on function %s from %I', v_function, v_role); end if;
  end loop;
end $$;
`;
