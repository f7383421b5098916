/**
 * Low-balance alerts. `alert_setting.seen_version` is where the look at an account stands: the balance's own version, so that
 * only accounts with alerts are looked at, and those only after a change; no trigger or index slows down what changes balances.
 * No table here holds money; the service's role writes them, and what fired is append-only.
 */
export const lowBalanceAlerts = `
create table alert_setting (
  account_id uuid primary key,
  enabled boolean not null,
  seen_version bigint not null default -1,
  updated_at timestamptz not null default now()
) with (fillfactor = 80);

create table alert_threshold (
  account_id uuid not null references alert_setting (account_id),
  threshold bigint not null check (threshold > 0),
  armed boolean not null,
  primary key (account_id, threshold)
) with (fillfactor = 80);

create table alert_fired (
  account_id uuid not null,
  id uuid not null,
  threshold bigint not null,
  balance bigint not null,
  fired_at timestamptz not null,
  primary key (account_id, id),
  check (balance < threshold)
);
create trigger alert_fired_append_only before update or delete or truncate on alert_fired
  for each statement execute function refuse_change();

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke update, delete, truncate on table alert_fired from %I', v_role);
end $$;
`;
