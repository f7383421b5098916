/**
 * Channels with several keys, states and bounds, in tables of their own beside `channel`. Gateways of the version before go on
 * with `channel`: they start, list and create as ever, and what they create is copied over by a trigger. They do not see what
 * the new tables hold, so a rollback finds the channels of its own time. A later migration drops `channel`.
 *
 * Channels that came with the old table may reach private networks, as they could then.
 */
export const channels = `
  create table upstream_channel (
    id uuid primary key,
    version integer not null default 1 check (version > 0),
    name text not null unique check (char_length(name) between 1 and 64),
    kind text not null check (kind in
      ('openai', 'anthropic', 'gemini', 'openrouter', 'azure-openai', 'openai-compatible', 'demo')),
    base_url text not null check (char_length(base_url) <= 1024),
    egress text not null check (egress in ('vendor', 'public', 'private')),
    api_version text check (char_length(api_version) <= 64),
    models jsonb not null check (jsonb_typeof(models) = 'object'),
    priority integer not null check (priority between 0 and 1000),
    weight integer not null check (weight between 1 and 1000),
    state text not null check (state in ('enabled', 'draining', 'disabled')),
    first_byte_timeout_ms integer check (first_byte_timeout_ms between 100 and 900000),
    between_bytes_timeout_ms integer check (between_bytes_timeout_ms between 100 and 900000),
    concurrency_max integer check (concurrency_max > 0),
    daily_budget_micro_tokens bigint check (daily_budget_micro_tokens > 0),
    daily_requests_max integer check (daily_requests_max > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  );

  create table upstream_key (
    id uuid primary key,
    channel_id uuid not null references upstream_channel (id) on delete cascade,
    label text not null check (char_length(label) between 1 and 64),
    sealed_secret text not null,
    wrapped_key text,
    key_version integer not null check (key_version >= 0),
    enabled boolean not null default true,
    created_at timestamptz not null default now(),
    check ((wrapped_key is null) = (key_version = 0))
  );
  create index upstream_key_channel on upstream_key (channel_id);

  create table channel_act (
    id uuid primary key,
    -- Null: the gateway itself.
    actor_id uuid,
    act text not null,
    channel_id uuid,
    channel_name text,
    change jsonb not null check (jsonb_typeof(change) = 'object'),
    at timestamptz not null default now()
  );
  create index channel_act_channel on channel_act (channel_id, at desc);
  create index channel_act_at on channel_act (at desc);

  create function copy_channel(old_channel channel) returns void language sql set search_path from current as $$
    insert into upstream_channel
      (id, name, kind, base_url, egress, models, priority, weight, state, created_at, updated_at)
    values (old_channel.id, old_channel.name,
      case when old_channel.kind = 'demo' then 'demo'
           when old_channel.base_url ~ '^https://api\\.openai\\.com(/|$)' then 'openai'
           else 'openai-compatible' end,
      rtrim(old_channel.base_url, '/'), 'private', old_channel.models, old_channel.priority, 100,
      case when old_channel.enabled then 'enabled' else 'disabled' end,
      old_channel.created_at, old_channel.updated_at)
    on conflict do nothing;
    insert into upstream_key (id, channel_id, label, sealed_secret, wrapped_key, key_version)
    select gen_random_uuid(), old_channel.id, 'default', old_channel.sealed_secret, null, 0
    where old_channel.sealed_secret is not null
      and exists (select from upstream_channel where id = old_channel.id)
      and not exists (select from upstream_key where channel_id = old_channel.id);
  $$;
  create function copy_new_channel() returns trigger language plpgsql set search_path from current as $$
  begin
    perform copy_channel(new);
    return new;
  end $$;
  create trigger copy_new_channel after insert on channel for each row execute function copy_new_channel();

  select copy_channel(channel) from channel;
  update channel_version set version = version + 1;
`;
