/** Price versions are immutable: a change is a new version with a later `effective_at`. Rates: micro-tokens per million model tokens. */
export const createPriceBook = `
create table price_version (
  id uuid primary key,
  effective_at timestamptz not null default now(),
  content_hash bytea not null check (length(content_hash) = 32),
  created_at timestamptz not null default now()
);
create index price_version_effective on price_version (effective_at desc, id desc);

create table price_row (
  price_version uuid not null references price_version (id),
  model text not null check (length(model) between 1 and 128),
  display_name text not null,
  context_tokens bigint not null check (context_tokens > 0),
  output_tokens_max bigint not null check (output_tokens_max > 0),
  rate_input bigint not null check (rate_input >= 0),
  rate_cached_input bigint not null check (rate_cached_input >= 0),
  rate_cache_write bigint not null check (rate_cache_write >= 0),
  rate_output bigint not null check (rate_output >= 0),
  rate_reasoning bigint not null check (rate_reasoning >= 0),
  per_request bigint not null check (per_request >= 0),
  primary key (price_version, model)
);

create trigger price_version_append_only before update or delete or truncate on price_version
  for each statement execute function refuse_change();
create trigger price_row_append_only before update or delete or truncate on price_row
  for each statement execute function refuse_change();
`;
