/**
 * What the money operations and the narrower usage table stand on: more kinds of transfers and operator accounts, capped
 * keys, price groups, and one view through which everything but `apply_batch` reads usage.
 *
 * Glossary
 *   refunds, adjustments, disputes  operator accounts against which customers get money back, or lose it by correction
 *   refund_clearing                 money on its way out to a payment provider
 *   receivable                      what a customer owes beyond the balance (a lost dispute); never made by usage
 *   key budget                      what a capped key spent and has reserved in one window; the window of a lease is the
 *                                   one of its grant
 *   usage_line                      a request as it was booked. Its columns are the interface; the table below may change.
 */
export const moneyFoundation = `
alter table transfer drop constraint transfer_kind_check;
alter table transfer add constraint transfer_kind_check check (kind in (
  'usage', 'write_off', 'grant', 'adjustment', 'refund', 'auto_refund', 'voucher', 'payment', 'payment_refund', 'dispute',
  'expiry'));

alter table ledger_account drop constraint ledger_account_kind_check;
alter table ledger_account add constraint ledger_account_kind_check check (kind in (
  'customer_paid', 'customer_bonus', 'revenue', 'promo', 'payments_clearing', 'write_off', 'refunds', 'adjustments',
  'disputes', 'refund_clearing', 'receivable'));
with added as (
  insert into ledger_account (kind, shard)
    select kind, shard
    from unnest(array['refunds', 'adjustments', 'disputes', 'refund_clearing', 'receivable']) as kind, generate_series(0, 15) as shard
    returning id
)
insert into operator_balance (ledger_account_id) select id from added;

alter table balance add column price_group text not null default 'default' check (price_group ~ '^[a-z0-9_-]{1,32}$');

alter table lease add column key_id uuid;
alter table lease add column granted_on date not null default (now() at time zone 'utc')::date;

create table key_budget (
  key_id uuid not null,
  period text not null check (period in ('day', 'month', 'total')),
  starts_on date not null,
  spent bigint not null default 0 check (spent >= 0),
  reserved bigint not null default 0 check (reserved >= 0),
  primary key (key_id, period, starts_on)
) with (fillfactor = 60);

create view usage_line as
  select epoch, partition, seq, batch_id, account_id, lease_id, request_id, key_id, price_version, started_at, duration_ms,
    first_byte_ms, tokens_input, tokens_cached_input, tokens_cache_write, tokens_output, tokens_reasoning, hold, cost, charged,
    route, model, channel, status, error_code, http_status, streamed, estimated, charge_mismatch
  from usage_event where request_id is not null;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke insert, update, delete, truncate on table key_budget, usage_line from %I', v_role);
end $$;
`;
