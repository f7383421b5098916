/**
 * What makes accounts trustworthy: proof of the address, second factors, invitations and the audit log of operators.
 *
 * Glossary
 *   registration   an account that is not one yet: its address is not proved. One an address; a newer one replaces it.
 *   link           a token that was mailed for an account, as its SHA-256. One an account and purpose (SEC-27).
 *   mail_intent    a mail that is still to be written and sent. Whether there is an account behind the address is looked up
 *                  by the sender, so a request costs the same for every address (SEC-15).
 *   challenge      a step of signing in that waits for its answer: minutes, one use
 *   account_act    what operators did; append-only, each line holds the hash of the one before it (SEC-147)
 *
 * Everything is new or has a default, so the version before goes on working.
 */
export const accountSecurity = `
alter table account
  add column language text not null default 'ru' check (language in ('ru', 'en')),
  add column blocked_at timestamptz;
alter table session
  add column factor text not null default 'password' check (factor in ('password', 'second_factor', 'passkey')),
  add column authenticated_at timestamptz;
create index session_ended on session (ended_at) where ended_at is not null;
create index account_email_prefix on account (email text_pattern_ops);

create table registration (
  email text primary key check (char_length(email) <= 254 and email = lower(email)),
  id uuid not null unique,
  name text check (char_length(name) between 1 and 100),
  password_hash text not null,
  language text not null check (language in ('ru', 'en')),
  consents jsonb not null,
  invitation_hash bytea,
  token_hash bytea unique,
  failures int not null default 0,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index registration_expires on registration (expires_at);

create table link (
  account_id uuid not null references account (id) on delete cascade,
  purpose text not null check (purpose in ('reset', 'sign_in', 'email_change')),
  token_hash bytea not null unique,
  email text,
  failures int not null default 0,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (account_id, purpose)
);
create index link_expires on link (expires_at);

create table mail_intent (
  id bigint generated always as identity primary key,
  kind text not null,
  email text not null,
  language text not null check (language in ('ru', 'en')),
  data jsonb not null,
  attempts int not null default 0,
  due_at timestamptz not null,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index mail_intent_due on mail_intent (due_at);

create table demo_mail (
  id bigint generated always as identity primary key,
  recipient text not null,
  subject text not null,
  body text not null,
  sent_at timestamptz not null
);

create table consent (
  account_id uuid not null references account (id) on delete cascade,
  document text not null,
  version text not null,
  at timestamptz not null,
  primary key (account_id, document, version)
);

create table challenge (
  id_hash bytea primary key,
  purpose text not null,
  account_id uuid references account (id) on delete cascade,
  value text not null,
  failures int not null default 0,
  expires_at timestamptz not null
);
create index challenge_expires on challenge (expires_at);

create table totp (
  account_id uuid primary key references account (id) on delete cascade,
  sealed_secret text not null,
  confirmed_at timestamptz,
  last_step bigint not null default 0,
  created_at timestamptz not null
);
create table recovery_code (
  account_id uuid not null references account (id) on delete cascade,
  code_hash bytea not null,
  primary key (account_id, code_hash)
);
create table passkey (
  credential_id text primary key check (char_length(credential_id) <= 2048),
  account_id uuid not null references account (id) on delete cascade,
  public_key bytea not null,
  counter bigint not null,
  transports text[] not null,
  name text not null check (char_length(name) between 1 and 60),
  created_at timestamptz not null,
  last_used_at timestamptz
);
create index passkey_account on passkey (account_id);

create table invitation (
  token_hash bytea primary key,
  email text not null,
  created_by uuid not null,
  expires_at timestamptz not null
);

create table bootstrap_code (
  only_one boolean primary key default true check (only_one),
  code_hash bytea not null,
  expires_at timestamptz not null
);

create table account_act (
  seq bigint primary key check (seq > 0),
  id uuid not null unique,
  actor_id uuid,
  action text not null,
  account_id uuid,
  reason text,
  at timestamptz not null,
  previous_hash bytea not null check (octet_length(previous_hash) = 32),
  hash bytea not null check (octet_length(hash) = 32)
);
create index account_act_account on account_act (account_id, seq desc);
create function refuse_act_change() returns trigger language plpgsql as $$
begin
  raise exception 'account_act is append-only: % refused', lower(tg_op) using errcode = 'restrict_violation';
end $$;
create trigger account_act_append_only before update or delete or truncate on account_act
  for each statement execute function refuse_act_change();
do $$ begin
  execute format('revoke update, delete, truncate on account_act from %I', current_setting('codex.app_role'));
end $$;
`;
