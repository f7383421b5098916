/**
 * Accounts, balances, transfers, entries.
 *
 * Glossary
 *   ledger account  one side of a double entry: a customer's bucket (`customer_paid`, `customer_bonus`), or one shard of an
 *                   operator account. Operator accounts have one shard for each usage partition, so that writers of
 *                   different partitions never wait for the same row.
 *   balance         projection of a customer's two buckets plus what open leases reserve; one row, so one lock, and CHECKs
 *                   can see both sides of `available`
 *   transfer        why money moved: one row with debit account, credit account and amount; append-only
 *   entry           one leg, with the running balance of its account; append-only. Credits are positive, debits negative.
 *                   A usage batch writes one entry an account and one for the operator's side, tied by `batch_id`.
 *   money command   the idempotency key of a grant (later: voucher, refund …) and the hash of its input, kept for ever
 */
export const createLedger = `
create function uuid_v7() returns uuid language sql volatile as $$
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
        placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

create table ledger_account (
  id uuid primary key default uuid_v7(),
  kind text not null check (kind in ('customer_paid', 'customer_bonus', 'revenue', 'promo', 'payments_clearing', 'write_off')),
  account_id uuid,
  shard smallint,
  created_at timestamptz not null default now(),
  check ((kind like 'customer_%') = (account_id is not null)),
  check ((account_id is null) = (shard is not null))
);
create unique index ledger_account_customer on ledger_account (account_id, kind) where account_id is not null;
create unique index ledger_account_operator on ledger_account (kind, shard) where account_id is null;

create table operator_balance (
  ledger_account_id uuid primary key references ledger_account (id),
  posted bigint not null default 0,
  version bigint not null default 0
) with (fillfactor = 60);

insert into ledger_account (kind, shard)
  select kind, shard
  from unnest(array['revenue', 'promo', 'payments_clearing', 'write_off']) as kind, generate_series(0, 15) as shard;
insert into operator_balance (ledger_account_id) select id from ledger_account;

create table balance (
  account_id uuid primary key,
  paid_account_id uuid not null references ledger_account (id),
  bonus_account_id uuid not null references ledger_account (id),
  paid bigint not null default 0,
  bonus bigint not null default 0,
  reserved bigint not null default 0,
  paid_version bigint not null default 0,
  bonus_version bigint not null default 0,
  version bigint not null default 0,
  frozen_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint balance_paid_not_negative check (paid >= 0),
  constraint balance_bonus_not_negative check (bonus >= 0),
  constraint balance_reserved_not_negative check (reserved >= 0),
  constraint balance_available_not_negative check (paid + bonus - reserved >= 0)
) with (fillfactor = 60);

-- No foreign keys on transfer and entry: their rows are written by the functions of this schema alone, from rows those
-- functions hold locked, and a key check a row would cost more than the insert. The auditor proves the same afterwards.
create table transfer (
  id uuid primary key,
  kind text not null check (kind in ('usage', 'write_off', 'grant')),
  debit_account_id uuid not null,
  credit_account_id uuid not null,
  amount bigint not null check (amount > 0),
  batch_id bigint,
  event_count integer,
  reason text,
  created_at timestamptz not null default now(),
  check (debit_account_id <> credit_account_id),
  check ((batch_id is not null) = (kind in ('usage', 'write_off')))
);
create unique index transfer_batch on transfer (batch_id, debit_account_id) where batch_id is not null;

create table entry (
  ledger_account_id uuid not null,
  version bigint not null check (version > 0),
  amount bigint not null check (amount <> 0),
  balance_after bigint not null,
  transfer_id uuid,
  batch_id bigint,
  primary key (ledger_account_id, version),
  check (transfer_id is not null or batch_id is not null)
);

create table money_command (
  key text primary key check (length(key) between 8 and 200),
  input_hash bytea not null check (length(input_hash) = 32),
  transfer_id uuid not null,
  created_at timestamptz not null default now()
);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only: % refused', tg_table_name, lower(tg_op)
    using errcode = 'restrict_violation', hint = 'Correct money with another transfer.';
end $$;
create trigger transfer_append_only before update or delete or truncate on transfer
  for each statement execute function refuse_change();
create trigger entry_append_only before update or delete or truncate on entry
  for each statement execute function refuse_change();
create trigger money_command_append_only before update or delete or truncate on money_command
  for each statement execute function refuse_change();
`;
