/**
 * `redeem_voucher` again: whoever loses a race for a code holds no lock of it.
 *
 * Before, everybody who brought the same code waited in line, one commit after the other; on a busy machine the end of the line ran
 * into the lock timeout and heard 503 instead of 404. Now the code is taken by one conditional update: when the winner commits, all
 * the others see at once that there is nothing left to take.
 *
 * Lock order: voucher_attempt → voucher_batch (shared) → voucher → balance → operator_balance. The command's key is written for the
 * record; what makes it once is the voucher's state.
 */
export const redeemWithoutQueue = `
create or replace function redeem_voucher(
  p_account_id uuid, p_code_hash bytea, p_transfer_id uuid, p_shard smallint, p_tries_max integer, p_window_seconds integer
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_attempt voucher_attempt;
  v_voucher voucher;
  v_batch voucher_batch;
  v_balance balance;
  v_outcome text;
begin
  -- Counted before anything is looked at, under the row's lock: tries at once count one by one.
  insert into voucher_attempt as a (account_id, window_start, tries) values (p_account_id, now(), 1)
    on conflict (account_id) do update set
      window_start = case when a.window_start > now() - make_interval(secs => p_window_seconds) then a.window_start else now() end,
      tries = case when a.window_start > now() - make_interval(secs => p_window_seconds)
        then least(a.tries + 1, p_tries_max + 1) else 1 end
    returning a.* into v_attempt;
  if v_attempt.tries > p_tries_max then
    return jsonb_build_object('outcome', 'throttled', 'retry_after', greatest(1, ceil(extract(epoch from
      v_attempt.window_start + make_interval(secs => p_window_seconds) - now())))::integer);
  end if;
  select b.* into v_batch from voucher v join voucher_batch b on b.id = v.batch_id where v.code_hash = p_code_hash for share of b;
  select * into v_voucher from voucher where code_hash = p_code_hash;
  v_outcome := case
    when v_voucher.redeemed_by = p_account_id then 'replayed'
    when v_voucher.state is distinct from 'issued' or v_batch.state <> 'open' or v_batch.expires_at <= now()
      -- Whoever makes vouchers does not redeem them.
      or v_batch.created_by = p_account_id then 'invalid'
    when v_batch.max_per_account <= (
      select count(*) from voucher where batch_id = v_batch.id and redeemed_by = p_account_id) then 'limit_reached'
    else 'redeemed' end;
  if v_outcome = 'redeemed' then
    update voucher set state = 'redeemed', redeemed_by = p_account_id, redeemed_at = now(), transfer_id = p_transfer_id
      where code_hash = p_code_hash and state = 'issued';
    -- Somebody else was faster; the same account cannot be, because its tries wait for each other above.
    if not found then v_outcome := 'invalid'; end if;
  end if;
  if v_outcome in ('invalid', 'limit_reached') then return jsonb_build_object('outcome', v_outcome); end if;
  update voucher_attempt set tries = tries - 1 where account_id = p_account_id;
  if v_outcome = 'redeemed' then
    v_balance := post_transfer(p_transfer_id, 'voucher', p_account_id, v_batch.bucket, 'credit',
      case v_batch.bucket when 'bonus' then 'promo' else 'payments_clearing' end, p_shard, v_batch.amount, 'voucher');
    perform end_command('voucher:' || encode(p_code_hash, 'hex'), p_code_hash, p_transfer_id, null);
  end if;
  return jsonb_build_object('outcome', v_outcome, 'transfer_id', coalesce(v_voucher.transfer_id, p_transfer_id),
    'bucket', v_batch.bucket, 'amount', v_batch.amount::text,
    'balance', case when v_outcome = 'redeemed' then balance_json(v_balance) end);
end $$;
`;
