/**
 * The service's own role reads everything, writes prices and quarantine rows, and moves money through the functions alone:
 * "no other write path touches the balance" (SEC-107) is a matter of grants, not of habit. The owner's triggers hold the
 * append-only tables against every other role as well (SEC-108).
 */
export const restrictApplicationRole = `
do $$
declare
  v_role text := coalesce(current_setting('codex.app_role', true), '');
  v_table text;
begin
  if v_role = '' then return; end if;
  foreach v_table in array array[
    'ledger_account', 'operator_balance', 'balance', 'transfer', 'entry', 'money_command', 'gateway_epoch',
    'gateway_cursor', 'lease', 'ingest_batch', 'usage_event'
  ] loop
    execute format('revoke insert, update, delete, truncate on table %I from %I', v_table, v_role);
  end loop;
  execute format('revoke update, delete, truncate on table price_version, price_row from %I', v_role);
  execute format('revoke delete, truncate on table quarantine from %I', v_role);
  execute format('revoke all on sequence epoch_number from %I', v_role);
  execute format('revoke execute on function ensure_balance(uuid), advance_cursor(bigint, smallint) from %I', v_role);
end $$;
revoke execute on function ensure_balance(uuid) from public;
revoke execute on function advance_cursor(bigint, smallint) from public;
`;
