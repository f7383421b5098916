/**
 * Accounts that an operator has blocked get no more leases (`frozen_at`). Events may come late and twice, so the newest decision
 * is kept beside the balance, and what is older than it changes nothing.
 */
export const accountBlocks = `
create table account_block (
  account_id uuid primary key,
  blocked boolean not null,
  -- When auth decided, by its clock.
  at timestamptz not null
);

-- Answers whether this was news.
create function set_account_block(p_account uuid, p_blocked boolean, p_at timestamptz) returns boolean
language plpgsql security definer set search_path = billing, pg_temp as $$
begin
  perform ensure_balance(p_account);
  perform 1 from balance where account_id = p_account for update;
  insert into account_block as k (account_id, blocked, at) values (p_account, p_blocked, p_at)
    on conflict (account_id) do update set blocked = excluded.blocked, at = excluded.at where k.at < excluded.at;
  if not found then return false; end if;
  update balance set frozen_at = case when p_blocked then p_at end, version = version + 1, updated_at = now()
    where account_id = p_account;
  return true;
end $$;

do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  revoke execute on function set_account_block(uuid, boolean, timestamptz) from public;
  if v_role <> '' then
    execute format('grant execute on function set_account_block(uuid, boolean, timestamptz) to %I', v_role);
    execute format('revoke insert, update, delete on account_block from %I', v_role);
  end if;
end $$;
`;
