/**
 * What operators do with money: adjustments and refunds of usage lines, by one operator up to a limit, by two above it.
 *
 * Glossary
 *   act       who did what to whom, why, and the balance before and after; append-only. An operator never acts on the own
 *             account: a CHECK, so it holds for whatever is built later as well.
 *   limit     of one operator on one account within 24 hours, so that a large amount cannot be cut into small ones
 *   proposal  an operation above the limit: it moves nothing until another operator approves it, and ends by itself
 *                 proposed ─▶ approved | rejected | expired | cancelled (its dispute was withdrawn)
 *   refund    money given back for one request. `refunded_after ≤ charged` with the numbers 1, 2, 3 … of a request makes more
 *             than was charged impossible, whatever the function does.
 *
 * Which bucket a refund goes to: a batch debits an account once a bucket, so which line was paid by which bucket is not known
 * when it took from both. The rule: back to paid, as far as the line's batch took paid and its earlier refunds gave none back;
 * the rest to bonus. So a batch never gives back more of a bucket than it took.
 *
 * Answers are as the money machine's: {outcome: posted | proposed | …, result, balance}, {outcome: replayed, result},
 * {outcome: conflict}, or a refusal that wrote nothing. Lock order: money_command → balance → dispute → operator_proposal.
 */
export const operations = `
create table operator_act (
  id uuid primary key default uuid_v7(),
  actor uuid not null,
  act text not null check (act in (
    'adjustment_posted', 'refund_posted', 'proposal_made', 'proposal_approved', 'proposal_rejected',
    'dispute_claimed', 'dispute_released', 'dispute_message', 'dispute_refunded', 'dispute_rejected')),
  account_id uuid not null,
  target text not null,
  amount bigint,
  reason text not null,
  ticket text,
  before jsonb,
  after jsonb,
  at timestamptz not null default now(),
  constraint operator_act_not_own_account check (actor <> account_id)
);
create index operator_act_account on operator_act (account_id, id desc);
create trigger operator_act_append_only before update or delete or truncate on operator_act
  for each statement execute function refuse_change();

create table operator_proposal (
  id uuid primary key,
  kind text not null check (kind in ('adjustment', 'refund', 'dispute')),
  account_id uuid not null,
  shard smallint not null,
  bucket text check (bucket in ('paid', 'bonus')),
  amount bigint not null check (amount <> 0),
  request_id uuid,
  dispute_id uuid,
  reason text not null,
  ticket text not null,
  maker uuid not null,
  state text not null default 'proposed' check (state in ('proposed', 'approved', 'rejected', 'expired', 'cancelled')),
  decider uuid,
  decision_reason text,
  transfer_id uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  decided_at timestamptz,
  constraint operator_proposal_not_own_account check (maker <> account_id and decider <> account_id),
  constraint operator_proposal_four_eyes check (decider <> maker),
  check ((state in ('approved', 'rejected')) = (decider is not null)),
  check ((state = 'approved') = (transfer_id is not null)),
  check ((state = 'proposed') = (decided_at is null)),
  check ((kind = 'adjustment') = (bucket is not null) and (kind = 'adjustment') = (request_id is null)),
  check ((kind = 'dispute') = (dispute_id is not null)),
  check (kind = 'adjustment' or amount > 0)
);
create index operator_proposal_open on operator_proposal (expires_at) where state = 'proposed';
create unique index operator_proposal_one_a_dispute on operator_proposal (dispute_id) where state = 'proposed';
create trigger operator_proposal_lifecycle before insert or update or delete on operator_proposal
  for each row execute function guard_lifecycle('proposed', 'state,decider,decision_reason,transfer_id,decided_at');
create trigger operator_proposal_kept before truncate on operator_proposal
  for each statement execute function refuse_change();

create table usage_refund (
  account_id uuid not null,
  request_id uuid not null,
  number integer not null check (number > 0),
  batch_id bigint not null,
  kind text not null check (kind in ('refund', 'auto_refund', 'dispute')),
  paid_amount bigint not null check (paid_amount >= 0),
  bonus_amount bigint not null check (bonus_amount >= 0),
  paid_transfer_id uuid,
  bonus_transfer_id uuid,
  refunded_after bigint not null,
  charged bigint not null,
  actor uuid,
  dispute_id uuid,
  reason text not null,
  created_at timestamptz not null default now(),
  primary key (account_id, request_id, number),
  check (paid_amount + bonus_amount > 0),
  check ((paid_amount > 0) = (paid_transfer_id is not null) and (bonus_amount > 0) = (bonus_transfer_id is not null)),
  check ((kind = 'auto_refund') = (actor is null)),
  constraint usage_refund_not_own_account check (actor <> account_id),
  constraint usage_refund_within_charge check (refunded_after between 1 and charged)
);
create index usage_refund_batch on usage_refund (account_id, batch_id);
create trigger usage_refund_append_only before update or delete or truncate on usage_refund
  for each statement execute function refuse_change();

create function money_json(p_balance balance) returns jsonb language sql immutable set search_path = billing, pg_temp as $$
  select jsonb_build_object('paid', p_balance.paid::text, 'bonus', p_balance.bonus::text, 'held', p_balance.reserved::text)
$$;

-- What this operator moved alone on this account within a day.
create function moved_alone(p_actor uuid, p_account_id uuid) returns bigint
language sql stable security definer set search_path = billing, pg_temp as $$
  select coalesce(sum(abs(amount)), 0)::bigint from operator_act
  where account_id = p_account_id and actor = p_actor and at > now() - interval '24 hours'
    and act in ('adjustment_posted', 'refund_posted', 'dispute_refunded')
$$;

create function keep_proposal(
  p_proposal_id uuid, p_kind text, p_account_id uuid, p_shard smallint, p_bucket text, p_amount bigint, p_request_id uuid,
  p_dispute_id uuid, p_reason text, p_ticket text, p_actor uuid, p_expires_at timestamptz
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
begin
  insert into operator_proposal (id, kind, account_id, shard, bucket, amount, request_id, dispute_id, reason, ticket, maker, expires_at)
    values (p_proposal_id, p_kind, p_account_id, p_shard, p_bucket, p_amount, p_request_id, p_dispute_id, p_reason, p_ticket,
      p_actor, p_expires_at);
  insert into operator_act (actor, act, account_id, target, amount, reason, ticket)
    values (p_actor, 'proposal_made', p_account_id, p_proposal_id::text, p_amount, p_reason, p_ticket);
  return jsonb_build_object('proposal_id', p_proposal_id, 'expires_at', p_expires_at);
end $$;

-- The locked balance in, the transfer done. Refusal: {outcome: insufficient_balance, debitable}.
create function do_adjustment(
  p_before balance, p_bucket text, p_amount bigint, p_shard smallint, p_reason text
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_after balance;
  v_transfer uuid := uuid_v7();
begin
  if p_amount < 0 and -p_amount > debitable(p_before, p_bucket) then
    return jsonb_build_object('outcome', 'insufficient_balance', 'debitable', debitable(p_before, p_bucket)::text);
  end if;
  v_after := post_transfer(v_transfer, 'adjustment', p_before.account_id, p_bucket,
    case when p_amount < 0 then 'debit' else 'credit' end, 'adjustments', p_shard, abs(p_amount), p_reason);
  return jsonb_build_object('outcome', 'posted', 'balance', balance_json(v_after), 'result', jsonb_build_object(
    'transfer_id', v_transfer, 'before', money_json(p_before), 'after', money_json(v_after)));
end $$;

create function adjust_account(
  p_key text, p_input_hash bytea, p_actor uuid, p_account_id uuid, p_shard smallint, p_bucket text, p_amount bigint,
  p_reason text, p_ticket text, p_four_eyes_above bigint, p_proposal_id uuid, p_expires_at timestamptz
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_before balance;
  v_answer jsonb;
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  if p_actor = p_account_id then return jsonb_build_object('outcome', 'own_account'); end if;
  v_before := lock_balance(p_account_id);
  if -p_amount > debitable(v_before, p_bucket) then
    return jsonb_build_object('outcome', 'insufficient_balance', 'debitable', debitable(v_before, p_bucket)::text);
  end if;
  if abs(p_amount) + moved_alone(p_actor, p_account_id) > p_four_eyes_above then
    v_answer := jsonb_build_object('outcome', 'proposed', 'result', keep_proposal(p_proposal_id, 'adjustment', p_account_id,
      p_shard, p_bucket, p_amount, null, null, p_reason, p_ticket, p_actor, p_expires_at));
  else
    v_answer := do_adjustment(v_before, p_bucket, p_amount, p_shard, p_reason);
    insert into operator_act (actor, act, account_id, target, amount, reason, ticket, before, after)
      values (p_actor, 'adjustment_posted', p_account_id, v_answer #>> '{result,transfer_id}', p_amount, p_reason, p_ticket,
        v_answer #> '{result,before}', v_answer #> '{result,after}');
  end if;
  perform end_command(p_key, p_input_hash, (v_answer #>> '{result,transfer_id}')::uuid, v_answer -> 'result');
  return v_answer;
end $$;

create function refunded_of(p_account_id uuid, p_request_id uuid) returns bigint
language sql stable security definer set search_path = billing, pg_temp as $$
  select coalesce(max(refunded_after), 0) from usage_refund where account_id = p_account_id and request_id = p_request_id
$$;

-- Gives back for one request, under the lock of the balance. p_amount null: whatever is left of the charge. Refusals:
-- not_found, exceeds_charge (with refundable).
create function give_back(
  p_kind text, p_account_id uuid, p_request_id uuid, p_amount bigint, p_shard smallint, p_actor uuid, p_dispute_id uuid,
  p_reason text
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_before balance;
  v_after balance;
  v_line record;
  v_number integer;
  v_refunded bigint;
  v_amount bigint;
  v_paid bigint;
  v_paid_transfer uuid;
  v_bonus_transfer uuid;
  v_operator text := case p_kind when 'dispute' then 'disputes' else 'refunds' end;
begin
  select * into v_before from balance where account_id = p_account_id for update;
  select batch_id, charged into v_line from usage_line
    where account_id = p_account_id and request_id = p_request_id order by batch_id limit 1;
  if not found then return jsonb_build_object('outcome', 'not_found'); end if;
  select count(*), coalesce(max(refunded_after), 0) into v_number, v_refunded
    from usage_refund where account_id = p_account_id and request_id = p_request_id;
  v_amount := coalesce(p_amount, v_line.charged - v_refunded);
  if v_amount <= 0 or v_amount > v_line.charged - v_refunded then
    return jsonb_build_object('outcome', 'exceeds_charge', 'refundable', (v_line.charged - v_refunded)::text);
  end if;
  v_paid := least(v_amount, greatest(0,
    coalesce((select amount from transfer where batch_id = v_line.batch_id and debit_account_id = v_before.paid_account_id), 0)
    - coalesce((select sum(paid_amount) from usage_refund where account_id = p_account_id and batch_id = v_line.batch_id), 0)));
  if v_paid > 0 then
    v_paid_transfer := uuid_v7();
    v_after := post_transfer(v_paid_transfer, p_kind, p_account_id, 'paid', 'credit', v_operator, p_shard, v_paid, p_reason);
  end if;
  if v_amount > v_paid then
    v_bonus_transfer := uuid_v7();
    v_after := post_transfer(
      v_bonus_transfer, p_kind, p_account_id, 'bonus', 'credit', v_operator, p_shard, v_amount - v_paid, p_reason);
  end if;
  insert into usage_refund (account_id, request_id, number, batch_id, kind, paid_amount, bonus_amount, paid_transfer_id,
      bonus_transfer_id, refunded_after, charged, actor, dispute_id, reason)
    values (p_account_id, p_request_id, v_number + 1, v_line.batch_id, p_kind, v_paid, v_amount - v_paid, v_paid_transfer,
      v_bonus_transfer, v_refunded + v_amount, v_line.charged, p_actor, p_dispute_id, p_reason);
  return jsonb_build_object('outcome', 'posted', 'balance', balance_json(v_after), 'result', jsonb_build_object(
    'transfer_id', coalesce(v_paid_transfer, v_bonus_transfer), 'amount', v_amount::text, 'paid', v_paid::text,
    'bonus', (v_amount - v_paid)::text, 'refunded', (v_refunded + v_amount)::text, 'charged', v_line.charged::text,
    'before', money_json(v_before), 'after', money_json(v_after)));
end $$;

create function refund_usage(
  p_key text, p_input_hash bytea, p_actor uuid, p_account_id uuid, p_request_id uuid, p_shard smallint, p_amount bigint,
  p_reason text, p_ticket text, p_four_eyes_above bigint, p_proposal_id uuid, p_expires_at timestamptz
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_charged bigint;
  v_left bigint;
  v_answer jsonb;
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  perform 1 from balance where account_id = p_account_id for update;
  select charged into v_charged from usage_line
    where account_id = p_account_id and request_id = p_request_id order by batch_id limit 1;
  if not found then return jsonb_build_object('outcome', 'not_found'); end if;
  if p_actor = p_account_id then return jsonb_build_object('outcome', 'own_account'); end if;
  v_left := v_charged - refunded_of(p_account_id, p_request_id);
  if v_left = 0 or p_amount > v_left then
    return jsonb_build_object('outcome', 'exceeds_charge', 'refundable', v_left::text);
  end if;
  if coalesce(p_amount, v_left) + moved_alone(p_actor, p_account_id) > p_four_eyes_above then
    v_answer := jsonb_build_object('outcome', 'proposed', 'result', keep_proposal(p_proposal_id, 'refund', p_account_id,
      p_shard, null, coalesce(p_amount, v_left), p_request_id, null, p_reason, p_ticket, p_actor, p_expires_at));
  else
    v_answer := give_back('refund', p_account_id, p_request_id, p_amount, p_shard, p_actor, null, p_reason);
    insert into operator_act (actor, act, account_id, target, amount, reason, ticket, before, after)
      values (p_actor, 'refund_posted', p_account_id, p_request_id::text, (v_answer #>> '{result,amount}')::bigint, p_reason,
        p_ticket, v_answer #> '{result,before}', v_answer #> '{result,after}');
  end if;
  perform end_command(p_key, p_input_hash, (v_answer #>> '{result,transfer_id}')::uuid, v_answer -> 'result');
  return v_answer;
end $$;

-- By rule, without an operator. Gives back whatever is left of the charge.
create function auto_refund(
  p_key text, p_input_hash bytea, p_account_id uuid, p_request_id uuid, p_shard smallint, p_rule text
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_answer jsonb;
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  v_answer := give_back('auto_refund', p_account_id, p_request_id, null, p_shard, null, null, p_rule);
  if v_answer ->> 'outcome' = 'posted' then
    perform end_command(p_key, p_input_hash, (v_answer #>> '{result,transfer_id}')::uuid, v_answer -> 'result');
  end if;
  return v_answer;
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
  v_function text;
begin
  foreach v_function in array array[
    'keep_proposal(uuid, text, uuid, smallint, text, bigint, uuid, uuid, text, text, uuid, timestamptz)',
    'do_adjustment(balance, text, bigint, smallint, text)',
    'give_back(text, uuid, uuid, bigint, smallint, uuid, uuid, text)'
  ] loop
    execute format('revoke execute on function %s from public', v_function);
    if v_role <> '' then execute format('revoke execute on function %s from %I', v_function, v_role); end if;
  end loop;
  if v_role <> '' then
    execute format('revoke insert, update, delete, truncate on table operator_act, operator_proposal, usage_refund from %I', v_role);
  end if;
end $$;
`;
