/**
 * Refunds that another service asks for. Like a refund by rule there is no operator behind it, so it is of kind 'auto_refund'; the
 * charge bounds it like every other (give_back). Answers as the money machine does. Refusals: not_found, exceeds_charge (with
 * refundable).
 */
export const refundByCommand = `
create function refund_by_command(
  p_key text, p_input_hash bytea, p_account_id uuid, p_request_id uuid, p_amount bigint, p_shard smallint, p_reason text
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_answer jsonb;
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  v_answer := give_back('auto_refund', p_account_id, p_request_id, p_amount, p_shard, null, null, p_reason);
  if v_answer ->> 'outcome' = 'posted' then
    perform end_command(p_key, p_input_hash, (v_answer #>> '{result,transfer_id}')::uuid, v_answer -> 'result');
  end if;
  return v_answer;
end $$;
`;
