/**
 * ensure_usage_day looks again, once it has the lock, by a query. `to_regclass` answers from the session's cache of names, and
 * waiting for an advisory lock does not refresh that: whoever had waited saw no table, made it again, and failed with "already
 * exists" (42P07): a worker that opened its epoch while the tables of the day were being made, at a start or at midnight.
 * Needs READ COMMITTED, where each query of a volatile function sees what is committed by then.
 */
export const usageDayRace = `
create or replace function ensure_usage_day(p_day bigint) returns void
language plpgsql security definer set search_path = billing, pg_temp as $$
declare
  v_table text := 'usage_row_' || p_day;
  v_grantee name;
begin
  if to_regclass('billing.' || v_table) is not null then return; end if;
  perform pg_advisory_xact_lock(hashtextextended('billing.usage_event.partition', 0));
  if exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'billing' and c.relname = v_table) then return; end if;
  execute format('create table %I (like usage_row including all)', v_table);
  execute format('create trigger usage_row_kept before truncate on %I for each statement execute function refuse_change()', v_table);
  -- Whatever default privileges gave out on the new table: all access goes through the parent.
  for v_grantee in
    select distinct r.rolname from pg_class c, aclexplode(c.relacl) a, pg_roles r
    where c.oid = to_regclass('billing.' || v_table) and r.oid = a.grantee and a.grantee <> c.relowner
  loop
    execute format('revoke all on table %I from %I', v_table, v_grantee);
  end loop;
  execute format('alter table usage_row attach partition %I for values from (%s) to (%s)',
    v_table, p_day * 16000000, (p_day + 1) * 16000000);
end $$;
`;
