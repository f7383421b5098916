import { outboxMigration, type Migration } from "@codex/db";

/** Every migration, oldest first. A file that has been merged is never edited; a mistake is corrected by the next one. */
export const keyMigrations: readonly Migration[] = [
  {
    name: "20261123T1300_create_api_key",
    up: `
      create table api_key (
        id uuid primary key,
        account_id uuid not null,
        name text not null check (char_length(name) between 1 and 100),
        display_prefix text not null check (char_length(display_prefix) <= 16),
        hash bytea not null unique check (octet_length(hash) = 32),
        status text not null default 'active' check (status in ('active', 'revoked')),
        version integer not null default 1 check (version >= 1),
        models text[],
        expires_at timestamptz,
        created_at timestamptz not null default now(),
        revoked_at timestamptz,
        check ((status = 'revoked') = (revoked_at is not null))
      );
      create index api_key_account on api_key (account_id, id desc);
    `,
  },
  outboxMigration("20261123T1301_create_outbox"),
  {
    name: "20261125T1250_add_caps",
    up: `
      alter table api_key
        add column cap_daily bigint check (cap_daily >= 0),
        add column cap_monthly bigint check (cap_monthly >= 0),
        add column cap_total bigint check (cap_total >= 0);
    `,
  },
  {
    // Nullable and without a default: the version before goes on inserting and reading beside it.
    name: "20261127T0900_add_limits",
    up: `
      alter table api_key
        add column requests_per_minute integer check (requests_per_minute >= 1),
        add column tokens_per_minute integer check (tokens_per_minute >= 1),
        add column concurrent_requests integer check (concurrent_requests >= 1),
        add column allowed_ips text[] check (cardinality(allowed_ips) between 1 and 50);
    `,
  },
  {
    // The version before inserts neither environment nor tags, and makes live keys without tags.
    name: "20261127T1500_add_life",
    up: `
      alter table api_key
        add column environment text not null default 'live' check (environment in ('live', 'test')),
        add column tags text[] not null default '{}' check (cardinality(tags) <= 20),
        add column last_used_at timestamptz,
        add column last_used_client text check (char_length(last_used_client) between 1 and 40),
        add column replaced_by uuid references api_key (id);
    `,
  },
];
