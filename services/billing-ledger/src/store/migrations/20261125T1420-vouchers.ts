/**
 * Vouchers: codes that credit whoever redeems them first, once.
 *
 * Glossary
 *   code hash  SHA-256 of the code's letters. A code has 120 random bits, so a plain hash cannot be turned back by trying, and
 *              unlike a keyed one it depends on no setting that could be lost with every voucher ever sold. The code itself is
 *              shown once and is nowhere in this schema.
 *   try        an attempt to redeem that did not succeed. Counted per account and window, here and not in Redis, because the
 *              count must commit or fall with what it counts, and hold while Redis is away.
 *   act        what an operator did with a batch; append-only
 *
 * A voucher is redeemed at most once whoever comes: its row is locked, and leaves `issued` once (guard_lifecycle).
 * Lock order: voucher_attempt → money_command → voucher → voucher_batch → balance → operator_balance.
 */
export const vouchers = `
create table voucher_batch (
  id uuid primary key,
  bucket text not null check (bucket in ('paid', 'bonus')),
  amount bigint not null check (amount between 1 and 1000000000000000),
  total integer not null check (total between 1 and 1000),
  max_per_account integer not null check (max_per_account between 1 and 1000),
  expires_at timestamptz,
  note text not null,
  created_by uuid not null,
  created_at timestamptz not null default now(),
  state text not null default 'open' check (state in ('open', 'revoked')),
  revoked_at timestamptz,
  check (amount * total <= 1000000000000000),
  check ((state = 'revoked') = (revoked_at is not null))
);
create trigger voucher_batch_lifecycle before insert or update or delete on voucher_batch
  for each row execute function guard_lifecycle('open', 'state,revoked_at');
create trigger voucher_batch_kept before truncate on voucher_batch for each statement execute function refuse_change();

create table voucher (
  code_hash bytea primary key check (length(code_hash) = 32),
  batch_id uuid not null references voucher_batch (id),
  state text not null default 'issued' check (state in ('issued', 'redeemed')),
  redeemed_by uuid,
  redeemed_at timestamptz,
  transfer_id uuid,
  check ((state = 'redeemed') = (redeemed_by is not null and redeemed_at is not null and transfer_id is not null))
);
create index voucher_by_batch on voucher (batch_id, redeemed_by);
create trigger voucher_lifecycle before insert or update or delete on voucher
  for each row execute function guard_lifecycle('issued', 'state,redeemed_by,redeemed_at,transfer_id');
create trigger voucher_kept before truncate on voucher for each statement execute function refuse_change();

create table voucher_act (
  id uuid primary key default uuid_v7(),
  batch_id uuid not null references voucher_batch (id),
  actor uuid not null,
  act text not null check (act in ('created', 'revoked')),
  reason text not null,
  at timestamptz not null default now()
);
create index voucher_act_batch on voucher_act (batch_id, id);
create trigger voucher_act_append_only before update or delete or truncate on voucher_act
  for each statement execute function refuse_change();

create table voucher_attempt (
  account_id uuid primary key,
  window_start timestamptz not null,
  tries integer not null check (tries >= 0)
) with (fillfactor = 60);

-- Answers as the money machine does: {outcome: created, result: {batch_id}} | replayed | conflict.
create function create_voucher_batch(
  p_key text, p_input_hash bytea, p_batch_id uuid, p_actor uuid, p_bucket text, p_amount bigint, p_max_per_account integer,
  p_expires_at timestamptz, p_note text, p_reason text, p_code_hashes bytea[]
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_result jsonb := jsonb_build_object('batch_id', p_batch_id);
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  insert into voucher_batch (id, bucket, amount, total, max_per_account, expires_at, note, created_by)
    values (p_batch_id, p_bucket, p_amount, cardinality(p_code_hashes), p_max_per_account, p_expires_at, p_note, p_actor);
  insert into voucher (code_hash, batch_id) select code_hash, p_batch_id from unnest(p_code_hashes) as code_hash;
  insert into voucher_act (batch_id, actor, act, reason) values (p_batch_id, p_actor, 'created', p_reason);
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'created', 'result', v_result);
end $$;

-- Refusals: not_found, already_revoked.
create function revoke_voucher_batch(p_key text, p_input_hash bytea, p_batch_id uuid, p_actor uuid, p_reason text) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_known money_command := begin_command(p_key, p_input_hash);
  v_batch voucher_batch;
  v_result jsonb := jsonb_build_object('batch_id', p_batch_id);
begin
  if v_known.key is not null then return replay_command(v_known, p_input_hash); end if;
  select * into v_batch from voucher_batch where id = p_batch_id for update;
  if not found then return jsonb_build_object('outcome', 'not_found'); end if;
  if v_batch.state = 'revoked' then return jsonb_build_object('outcome', 'already_revoked'); end if;
  update voucher_batch set state = 'revoked', revoked_at = now() where id = p_batch_id;
  insert into voucher_act (batch_id, actor, act, reason) values (p_batch_id, p_actor, 'revoked', p_reason);
  perform end_command(p_key, p_input_hash, null, v_result);
  return jsonb_build_object('outcome', 'revoked', 'result', v_result);
end $$;

-- {outcome: redeemed | replayed, transfer_id, bucket, amount, balance}, or throttled (with retry_after), limit_reached, or
-- invalid: whatever else may be wrong is one answer. Commits in every case, because a failed try counts.
create function redeem_voucher(
  p_account_id uuid, p_code_hash bytea, p_transfer_id uuid, p_shard smallint, p_tries_max integer, p_window_seconds integer
) returns jsonb
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_key text := 'voucher:' || encode(p_code_hash, 'hex');
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
  perform begin_command(v_key, p_code_hash);
  select * into v_voucher from voucher where code_hash = p_code_hash for update;
  select * into v_batch from voucher_batch where id = v_voucher.batch_id for share;
  v_outcome := case
    when v_voucher.redeemed_by = p_account_id then 'replayed'
    when v_voucher.state is distinct from 'issued' or v_batch.state <> 'open' or v_batch.expires_at <= now()
      -- Whoever makes vouchers does not redeem them.
      or v_batch.created_by = p_account_id then 'invalid'
    when v_batch.max_per_account <= (
      select count(*) from voucher where batch_id = v_batch.id and redeemed_by = p_account_id) then 'limit_reached'
    else 'redeemed' end;
  if v_outcome in ('invalid', 'limit_reached') then return jsonb_build_object('outcome', v_outcome); end if;
  update voucher_attempt set tries = tries - 1 where account_id = p_account_id;
  if v_outcome = 'redeemed' then
    v_balance := post_transfer(p_transfer_id, 'voucher', p_account_id, v_batch.bucket, 'credit',
      case v_batch.bucket when 'bonus' then 'promo' else 'payments_clearing' end, p_shard, v_batch.amount, 'voucher');
    update voucher set state = 'redeemed', redeemed_by = p_account_id, redeemed_at = now(), transfer_id = p_transfer_id
      where code_hash = p_code_hash;
    perform end_command(v_key, p_code_hash, p_transfer_id, null);
  end if;
  return jsonb_build_object('outcome', v_outcome, 'transfer_id', coalesce(v_voucher.transfer_id, p_transfer_id),
    'bucket', v_batch.bucket, 'amount', v_batch.amount::text,
    'balance', case when v_outcome = 'redeemed' then balance_json(v_balance) end);
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke insert, update, delete, truncate on table voucher_batch, voucher, voucher_act, voucher_attempt from %I', v_role);
end $$;
`;
