/**
 * Disputes of single requests, and the second pair of eyes on proposals.
 *
 *     open ──▶ withdrawn (by the user) | refunded | rejected (by an operator)
 *
 * While open it may be claimed and released, and its timeline grows: `dispute_event` is append-only and is what both sides
 * see; of operators the user sees that it was one, not who. One dispute a request may be open at a time. There is no content
 * of requests anywhere here, only the words of the two sides.
 *
 * Every function is idempotent by key and input hash and answers as the money machine does. Lock order: money_command →
 * balance → dispute → operator_proposal.
 */
export const disputes = `
create table dispute (
  id uuid primary key,
  account_id uuid not null,
  request_id uuid not null,
  shard smallint not null,
  reason text not null check (reason in ('wrong_charge', 'no_answer', 'cut_answer', 'not_mine', 'other')),
  state text not null default 'open' check (state in ('open', 'withdrawn', 'refunded', 'rejected')),
  assignee uuid,
  refunded bigint check (refunded > 0),
  transfer_id uuid,
  opened_at timestamptz not null default now(),
  due_at timestamptz not null,
  resolved_at timestamptz,
  constraint dispute_not_own_account check (assignee <> account_id),
  check ((state = 'open') = (resolved_at is null)),
  check ((state = 'refunded') = (refunded is not null) and (state = 'refunded') = (transfer_id is not null))
);
create unique index dispute_open_once on dispute (account_id, request_id) where state = 'open';
create index dispute_queue on dispute (state, due_at, id);
create index dispute_account on dispute (account_id, id desc);
create trigger dispute_lifecycle before insert or update or delete on dispute
  for each row execute function guard_lifecycle('open', 'state,assignee,refunded,transfer_id,resolved_at');
create trigger dispute_kept before truncate on dispute for each statement execute function refuse_change();

create table dispute_event (
  dispute_id uuid not null references dispute (id),
  number integer not null check (number > 0),
  kind text not null check (kind in (
    'opened', 'claimed', 'released', 'message', 'second_review', 'review_ended', 'refunded', 'rejected', 'withdrawn')),
  by_kind text not null check (by_kind in ('user', 'operator', 'system')),
  actor uuid,
  text text check (length(text) <= 2000),
  amount bigint,
  at timestamptz not null default now(),
  primary key (dispute_id, number),
  check ((by_kind = 'system') = (actor is null))
);
create trigger dispute_event_append_only before update or delete or truncate on dispute_event
  for each statement execute function refuse_change();

-- The dispute is locked by the caller, so the numbers have no gaps.
create function tell_dispute(
  p_dispute_id uuid, p_kind text, p_by_kind text, p_actor uuid, p_text text, p_amount bigint default null
) returns void
language sql security definer set search_path = billing, pg_temp as $$
  insert into dispute_event (dispute_id, number, kind, by_kind, actor, text, amount)
    select p_dispute_id, count(*) + 1, p_kind, p_by_kind, p_actor, p_text, p_amount from dispute_event where dispute_id = p_dispute_id
$$;

-- Refusals: not_found, window_closed, already_open (with dispute_id), too_many_open.
create function open_dispute(
  p_key text, p_input_hash bytea, p_dispute_id uuid, p_account_id uuid, p_shard smallint, p_request_id uuid, p_reason text,
  p_text text, p_window_days integer, p_due_days integer, p_open_max integer
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_started timestamptz;
  v_open uuid;
  v_result jsonb := jsonb_build_object('dispute_id', p_dispute_id);
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  -- Serialises the disputes of an account: one with usage has a balance.
  perform 1 from balance where account_id = p_account_id for update;
  select started_at into v_started from usage_line where account_id = p_account_id and request_id = p_request_id limit 1;
  if not found then return jsonb_build_object('outcome', 'not_found'); end if;
  select id into v_open from dispute where account_id = p_account_id and request_id = p_request_id and state = 'open';
  if found then return jsonb_build_object('outcome', 'already_open', 'dispute_id', v_open); end if;
  if v_started < now() - make_interval(days => p_window_days) then
    return jsonb_build_object('outcome', 'window_closed');
  end if;
  if (select count(*) from dispute where account_id = p_account_id and state = 'open') >= p_open_max then
    return jsonb_build_object('outcome', 'too_many_open');
  end if;
  insert into dispute (id, account_id, request_id, shard, reason, due_at)
    values (p_dispute_id, p_account_id, p_request_id, p_shard, p_reason,
      -- To the millisecond: page cursors carry it through a client.
      date_trunc('milliseconds', now() + make_interval(days => p_due_days)));
  perform tell_dispute(p_dispute_id, 'opened', 'user', p_account_id, p_text);
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'opened', 'result', v_result);
end $$;

-- A proposal that waits for the second operator falls with its dispute.
create function withdraw_dispute(p_key text, p_input_hash bytea, p_account_id uuid, p_dispute_id uuid) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_dispute dispute;
  v_result jsonb := jsonb_build_object('dispute_id', p_dispute_id);
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  select * into v_dispute from dispute where id = p_dispute_id and account_id = p_account_id for update;
  if not found then return jsonb_build_object('outcome', 'not_found'); end if;
  if v_dispute.state <> 'open' then return jsonb_build_object('outcome', 'not_open', 'state', v_dispute.state); end if;
  update operator_proposal set state = 'cancelled', decided_at = now() where dispute_id = p_dispute_id and state = 'proposed';
  update dispute set state = 'withdrawn', resolved_at = now() where id = p_dispute_id;
  perform tell_dispute(p_dispute_id, 'withdrawn', 'user', p_account_id, null);
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'withdrawn', 'result', v_result);
end $$;

-- The locked, open dispute for an operator's act, or why not.
create function dispute_for_act(p_actor uuid, p_dispute_id uuid) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_dispute dispute;
begin
  select * into v_dispute from dispute where id = p_dispute_id for update;
  if not found then return jsonb_build_object('outcome', 'not_found'); end if;
  if v_dispute.account_id = p_actor then return jsonb_build_object('outcome', 'own_account'); end if;
  if v_dispute.state <> 'open' then return jsonb_build_object('outcome', 'not_open', 'state', v_dispute.state); end if;
  return null;
end $$;

-- p_assignee: the actor, or null to give it back. A dispute that another operator has is taken with p_take_over alone.
create function assign_dispute(
  p_key text, p_input_hash bytea, p_actor uuid, p_dispute_id uuid, p_assignee uuid, p_take_over boolean
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_refusal jsonb;
  v_dispute dispute;
  v_result jsonb := jsonb_build_object('dispute_id', p_dispute_id);
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  v_refusal := dispute_for_act(p_actor, p_dispute_id);
  if v_refusal is not null then return v_refusal; end if;
  select * into v_dispute from dispute where id = p_dispute_id;
  if v_dispute.assignee <> p_actor and not p_take_over then
    return jsonb_build_object('outcome', 'assigned_to_other');
  end if;
  if v_dispute.assignee is distinct from p_assignee then
    update dispute set assignee = p_assignee where id = p_dispute_id;
    perform tell_dispute(p_dispute_id, case when p_assignee is null then 'released' else 'claimed' end, 'operator', p_actor, null);
    insert into operator_act (actor, act, account_id, target, reason)
      values (p_actor, case when p_assignee is null then 'dispute_released' else 'dispute_claimed' end, v_dispute.account_id,
        p_dispute_id::text, case when p_take_over then 'taken over' else 'queue' end);
  end if;
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'done', 'result', v_result);
end $$;

create function message_dispute(p_key text, p_input_hash bytea, p_actor uuid, p_dispute_id uuid, p_text text) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_refusal jsonb;
  v_result jsonb := jsonb_build_object('dispute_id', p_dispute_id);
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  v_refusal := dispute_for_act(p_actor, p_dispute_id);
  if v_refusal is not null then return v_refusal; end if;
  perform tell_dispute(p_dispute_id, 'message', 'operator', p_actor, p_text);
  insert into operator_act (actor, act, account_id, target, reason)
    select p_actor, 'dispute_message', account_id, id::text, 'message to the user' from dispute where id = p_dispute_id;
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'done', 'result', v_result);
end $$;

-- Balance and dispute are locked, the dispute is open. Gives the money back and closes. Refusals: those of give_back.
create function refund_dispute(p_dispute_id uuid, p_amount bigint, p_actor uuid, p_reason text) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_dispute dispute;
  v_answer jsonb;
begin
  select * into v_dispute from dispute where id = p_dispute_id;
  v_answer := give_back('dispute', v_dispute.account_id, v_dispute.request_id, p_amount, v_dispute.shard, p_actor, p_dispute_id, p_reason);
  if v_answer ->> 'outcome' <> 'posted' then return v_answer; end if;
  update dispute set state = 'refunded', refunded = (v_answer #>> '{result,amount}')::bigint,
      transfer_id = (v_answer #>> '{result,transfer_id}')::uuid, resolved_at = now() where id = p_dispute_id;
  perform tell_dispute(p_dispute_id, 'refunded', 'operator', p_actor, p_reason, (v_answer #>> '{result,amount}')::bigint);
  return v_answer;
end $$;

-- p_outcome: refund (p_amount null = whatever is left of the charge) or rejected. The reason is what the user reads.
create function resolve_dispute(
  p_key text, p_input_hash bytea, p_actor uuid, p_dispute_id uuid, p_outcome text, p_amount bigint, p_reason text,
  p_ticket text, p_four_eyes_above bigint, p_proposal_id uuid, p_expires_at timestamptz
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_refusal jsonb;
  v_dispute dispute;
  v_left bigint;
  v_answer jsonb := jsonb_build_object('outcome', 'rejected', 'result', jsonb_build_object('dispute_id', p_dispute_id));
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  perform 1 from balance where account_id = (select account_id from dispute where id = p_dispute_id) for update;
  v_refusal := dispute_for_act(p_actor, p_dispute_id);
  if v_refusal is not null then return v_refusal; end if;
  if exists (select from operator_proposal where dispute_id = p_dispute_id and state = 'proposed') then
    return jsonb_build_object('outcome', 'under_review');
  end if;
  select * into v_dispute from dispute where id = p_dispute_id;
  if p_outcome = 'refund' then
    v_left := (select charged from usage_line where account_id = v_dispute.account_id and request_id = v_dispute.request_id
      order by batch_id limit 1) - refunded_of(v_dispute.account_id, v_dispute.request_id);
    if coalesce(v_left, 0) = 0 or p_amount > v_left then
      return jsonb_build_object('outcome', 'exceeds_charge', 'refundable', coalesce(v_left, 0)::text);
    end if;
    if coalesce(p_amount, v_left) + moved_alone(p_actor, v_dispute.account_id) > p_four_eyes_above then
      v_answer := jsonb_build_object('outcome', 'proposed', 'result', keep_proposal(p_proposal_id, 'dispute', v_dispute.account_id,
        v_dispute.shard, null, coalesce(p_amount, v_left), v_dispute.request_id, p_dispute_id, p_reason, p_ticket, p_actor,
        p_expires_at));
      perform tell_dispute(p_dispute_id, 'second_review', 'operator', p_actor, null);
    else
      v_answer := refund_dispute(p_dispute_id, p_amount, p_actor, p_reason);
    end if;
  else
    update dispute set state = 'rejected', resolved_at = now() where id = p_dispute_id;
    perform tell_dispute(p_dispute_id, 'rejected', 'operator', p_actor, p_reason);
  end if;
  if v_answer ->> 'outcome' <> 'proposed' then
    insert into operator_act (actor, act, account_id, target, amount, reason, ticket, before, after)
      values (p_actor, case p_outcome when 'refund' then 'dispute_refunded' else 'dispute_rejected' end, v_dispute.account_id,
        p_dispute_id::text, (v_answer #>> '{result,amount}')::bigint, p_reason, p_ticket, v_answer #> '{result,before}',
        v_answer #> '{result,after}');
  end if;
  perform end_command(p_key, p_input_hash, (v_answer #>> '{result,transfer_id}')::uuid, v_answer -> 'result');
  return v_answer;
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
  v_function text;
begin
  foreach v_function in array array[
    'tell_dispute(uuid, text, text, uuid, text, bigint)', 'dispute_for_act(uuid, uuid)',
    'refund_dispute(uuid, bigint, uuid, text)'
  ] loop
    execute format('revoke execute on function %s from public', v_function);
    if v_role <> '' then execute format('revoke execute on function %s from %I', v_function, v_role); end if;
  end loop;
  if v_role <> '' then execute format('revoke insert, update, delete, truncate on table dispute, dispute_event from %I', v_role); end if;
end $$;
`;
