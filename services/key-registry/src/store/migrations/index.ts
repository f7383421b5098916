import { auditLogMigration, outboxMigration, type Migration } from "@codex/db";

/** The showings that were written down before there was a chain become its first lines. */
const showingsOfBefore = `
insert into audit_act (id, actor_id, action, account_id, target, details, at)
  select id, account_id, 'key_shown', account_id, null, jsonb_build_object('key', key_id), at from key_act order by at, id;
`;

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
  {
    // The version before inserts none of it, and its revocations meet the check: they take away what was sealed.
    name: "20261127T1600_add_repeat_display",
    up: `
      create table data_key (
        id uuid primary key,
        account_id uuid not null unique,
        wrapped_key text not null,
        master_version integer not null check (master_version >= 1),
        created_at timestamptz not null default now()
      );
      alter table api_key
        add column sealed_secret text,
        add column data_key_id uuid references data_key (id),
        add check ((sealed_secret is null) = (data_key_id is null)),
        add check (status = 'active' or sealed_secret is null);
      create function forget_sealed() returns trigger language plpgsql set search_path from current as $$
      begin
        if new.status = 'revoked' then
          new.sealed_secret := null;
          new.data_key_id := null;
        end if;
        return new;
      end $$;
      create trigger forget_sealed before update on api_key for each row execute function forget_sealed();
      create table key_act (
        id uuid primary key,
        account_id uuid not null,
        key_id uuid not null,
        act text not null check (act in ('shown')),
        at timestamptz not null default now()
      );
      create index key_act_account on key_act (account_id, at desc);
      do $$
      declare v_role text := coalesce(current_setting('codex.app_role', true), '');
      begin
        if v_role = '' then return; end if;
        execute format('revoke update, delete, truncate on table key_act from %I', v_role);
        execute format('revoke delete, truncate on table data_key from %I', v_role);
      end $$;
    `,
  },
  auditLogMigration("20261127T1700_create_audit_log", showingsOfBefore),
];
