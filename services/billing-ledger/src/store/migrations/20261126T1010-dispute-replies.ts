/**
 * The user's words in an open dispute after it was opened: bounded in number, so that one dispute cannot fill the timeline that both
 * sides read. Refusals: not_found, not_open, too_many_messages.
 */
export const disputeReplies = `
create function reply_dispute(
  p_key text, p_input_hash bytea, p_account_id uuid, p_dispute_id uuid, p_text text, p_messages_max integer
) returns jsonb
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
  if (select count(*) from dispute_event where dispute_id = p_dispute_id and kind = 'message' and by_kind = 'user')
    >= p_messages_max
  then
    return jsonb_build_object('outcome', 'too_many_messages');
  end if;
  perform tell_dispute(p_dispute_id, 'message', 'user', p_account_id, p_text);
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'done', 'result', v_result);
end $$;
`;
