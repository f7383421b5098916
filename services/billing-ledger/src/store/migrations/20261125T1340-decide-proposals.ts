/**
 * The second operator's decision, and where the scan for automatic refunds stands.
 *
 * `refund_scan_position` holds no money, so the service's role writes it. It says, for one epoch and partition, up to which
 * sequence number booked usage was looked at; what was booked before this migration is not looked at.
 */
export const decideProposals = `
-- Refusals: not_found, own_proposal, own_account, already_decided (with state), expired, and those of the operation itself,
-- after which the proposal still stands: insufficient_balance, exceeds_charge, not_open.
create function decide_proposal(
  p_key text, p_input_hash bytea, p_actor uuid, p_proposal_id uuid, p_approve boolean, p_reason text
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_proposal operator_proposal;
  v_balance balance;
  v_refusal jsonb;
  v_answer jsonb := jsonb_build_object('outcome', 'rejected', 'result', jsonb_build_object('proposal_id', p_proposal_id));
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  select * into v_proposal from operator_proposal where id = p_proposal_id;
  if not found then return jsonb_build_object('outcome', 'not_found'); end if;
  v_balance := lock_balance(v_proposal.account_id);
  if v_proposal.kind = 'dispute' then v_refusal := dispute_for_act(p_actor, v_proposal.dispute_id); end if;
  select * into v_proposal from operator_proposal where id = p_proposal_id for update;
  if p_actor = v_proposal.account_id then return jsonb_build_object('outcome', 'own_account'); end if;
  if p_actor = v_proposal.maker then return jsonb_build_object('outcome', 'own_proposal'); end if;
  if v_proposal.state <> 'proposed' then
    return jsonb_build_object('outcome', 'already_decided', 'state', v_proposal.state);
  end if;
  if v_proposal.expires_at <= now() then return jsonb_build_object('outcome', 'expired'); end if;
  if v_refusal is not null then return v_refusal; end if;
  if p_approve then
    v_answer := case v_proposal.kind
      when 'adjustment' then
        do_adjustment(v_balance, v_proposal.bucket, v_proposal.amount, v_proposal.shard, v_proposal.reason)
      when 'refund' then
        give_back('refund', v_proposal.account_id, v_proposal.request_id, v_proposal.amount, v_proposal.shard,
          v_proposal.maker, null, v_proposal.reason)
      when 'dispute' then
        refund_dispute(v_proposal.dispute_id, v_proposal.amount, v_proposal.maker, v_proposal.reason)
      end;
    if v_answer ->> 'outcome' <> 'posted' then return v_answer; end if;
    v_answer := jsonb_set(v_answer, '{result,proposal_id}', to_jsonb(p_proposal_id));
  elsif v_proposal.kind = 'dispute' then
    perform tell_dispute(v_proposal.dispute_id, 'review_ended', 'operator', p_actor, null);
  end if;
  update operator_proposal set state = case when p_approve then 'approved' else 'rejected' end, decider = p_actor,
      decision_reason = p_reason, transfer_id = (v_answer #>> '{result,transfer_id}')::uuid, decided_at = now()
    where id = p_proposal_id;
  insert into operator_act (actor, act, account_id, target, amount, reason, ticket, before, after)
    values (p_actor, case when p_approve then 'proposal_approved' else 'proposal_rejected' end, v_proposal.account_id,
      p_proposal_id::text, v_proposal.amount, p_reason, v_proposal.ticket, v_answer #> '{result,before}',
      v_answer #> '{result,after}');
  perform end_command(p_key, p_input_hash, (v_answer #>> '{result,transfer_id}')::uuid, v_answer -> 'result');
  return v_answer;
end $$;

-- Ends at most p_limit proposals whose time is over; any number of callers at once. Answers how many.
create function expire_proposals(p_limit integer) returns integer
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_due record;
  v_ended integer := 0;
begin
  for v_due in
    select id, dispute_id from operator_proposal where state = 'proposed' and expires_at <= now()
    order by dispute_id, id limit p_limit
  loop
    perform 1 from dispute where id = v_due.dispute_id for update;
    update operator_proposal set state = 'expired', decided_at = now() where id = v_due.id and state = 'proposed';
    continue when not found;
    v_ended := v_ended + 1;
    if v_due.dispute_id is not null then perform tell_dispute(v_due.dispute_id, 'review_ended', 'system', null, null); end if;
  end loop;
  return v_ended;
end $$;

create table refund_scan_position (
  epoch bigint not null,
  partition smallint not null,
  scanned bigint not null default 0 check (scanned >= 0),
  claimed_until timestamptz not null default '-infinity',
  primary key (epoch, partition)
) with (fillfactor = 60);
insert into refund_scan_position (epoch, partition, scanned) select epoch, partition, contiguous from gateway_cursor;
`;
