/**
 * Batches of vouchers above what one operator may give away alone: made at once, because the codes are told once, but worth nothing
 * until another operator has approved the batch.
 *
 * Glossary
 *   approval_needed  decided when the batch is made: its worth, with all that the same operator made alone within 24 hours, is above
 *                    the limit, so that a large batch cannot be cut into small ones
 *   approved_by      another operator than the maker, by a CHECK; neither of the two can redeem a code of it
 *
 * Who made it may not approve it; anybody may revoke it. An approval cannot be taken back, a batch can: by revoking.
 */
export const voucherFourEyes = `
alter table voucher_batch
  add column approval_needed boolean not null default false,
  add column approved_by uuid,
  add column approved_at timestamptz,
  add constraint voucher_batch_four_eyes check (approved_by <> created_by),
  add constraint voucher_batch_approval check ((approved_by is null) = (approved_at is null)),
  add constraint voucher_batch_approval_wanted check (approved_by is null or approval_needed);
drop trigger voucher_batch_lifecycle on voucher_batch;
create trigger voucher_batch_lifecycle before insert or update or delete on voucher_batch
  for each row execute function guard_lifecycle('open', 'state,revoked_at,approved_by,approved_at');
create index voucher_batch_maker on voucher_batch (created_by, created_at);
alter table voucher_act drop constraint voucher_act_act_check;
alter table voucher_act add constraint voucher_act_act_check check (act in ('created', 'revoked', 'approved'));

create function create_voucher_batch(
  p_key text, p_input_hash bytea, p_batch_id uuid, p_actor uuid, p_bucket text, p_amount bigint, p_max_per_account integer,
  p_expires_at timestamptz, p_note text, p_reason text, p_code_hashes bytea[], p_four_eyes_above bigint
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_result jsonb := jsonb_build_object('batch_id', p_batch_id);
  v_alone numeric;
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  -- Two batches of one operator at once must see each other.
  perform pg_advisory_xact_lock(hashtextextended('billing.voucher_maker ' || p_actor, 0));
  select coalesce(sum(amount::numeric * total), 0) into v_alone from voucher_batch
    where created_by = p_actor and created_at > now() - interval '24 hours' and not approval_needed;
  insert into voucher_batch (id, bucket, amount, total, max_per_account, expires_at, note, created_by, approval_needed)
    values (p_batch_id, p_bucket, p_amount, cardinality(p_code_hashes), p_max_per_account, p_expires_at, p_note, p_actor,
      v_alone + p_amount::numeric * cardinality(p_code_hashes) > p_four_eyes_above);
  insert into voucher (code_hash, batch_id) select code_hash, p_batch_id from unnest(p_code_hashes) as code_hash;
  insert into voucher_act (batch_id, actor, act, reason) values (p_batch_id, p_actor, 'created', p_reason);
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'created', 'result', v_result);
end $$;

-- What a replica of the version before calls while it is replaced: nobody gives away anything alone by it.
create or replace function create_voucher_batch(
  p_key text, p_input_hash bytea, p_batch_id uuid, p_actor uuid, p_bucket text, p_amount bigint, p_max_per_account integer,
  p_expires_at timestamptz, p_note text, p_reason text, p_code_hashes bytea[]
) returns jsonb
language sql security definer set search_path = billing, pg_temp as $$
  select create_voucher_batch(p_key, p_input_hash, p_batch_id, p_actor, p_bucket, p_amount, p_max_per_account, p_expires_at,
    p_note, p_reason, p_code_hashes, 0::bigint)
$$;

-- Refusals: not_found, own_batch, already_revoked, already_approved (also where no approval is needed).
create function approve_voucher_batch(p_key text, p_input_hash bytea, p_batch_id uuid, p_actor uuid, p_reason text) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_batch voucher_batch;
  v_result jsonb := jsonb_build_object('batch_id', p_batch_id);
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  select * into v_batch from voucher_batch where id = p_batch_id for update;
  if not found then return jsonb_build_object('outcome', 'not_found'); end if;
  if v_batch.created_by = p_actor then return jsonb_build_object('outcome', 'own_batch'); end if;
  if v_batch.state = 'revoked' then return jsonb_build_object('outcome', 'already_revoked'); end if;
  if not v_batch.approval_needed or v_batch.approved_by is not null then
    return jsonb_build_object('outcome', 'already_approved');
  end if;
  update voucher_batch set approved_by = p_actor, approved_at = now() where id = p_batch_id;
  insert into voucher_act (batch_id, actor, act, reason) values (p_batch_id, p_actor, 'approved', p_reason);
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'approved', 'result', v_result);
end $$;

-- As before, but for batches that wait for their approval.
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
      or (v_batch.approval_needed and v_batch.approved_by is null)
      -- Whoever makes vouchers, or lets them pass, does not redeem them.
      or p_account_id in (v_batch.created_by, v_batch.approved_by) then 'invalid'
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
