import { auditLogMigration, type Migration } from "@codex/db";

/**
 * Whatever operators do with money becomes a line of the audit log (ADR 0022), out of the tables that hold it already: acts on accounts,
 * batches of vouchers, prices. The line is written at the commit of the act, by the database, whoever wrote the act.
 *
 * What was there before becomes the first lines of the chain, table by table.
 */
export const moneyAuditLog: Migration = auditLogMigration(
  "20261127T0200_create_audit_log",
  `
create function audit_operator_act(p_act operator_act) returns void
language sql security definer set search_path = billing, pg_temp as $$
  insert into audit_act (id, actor_id, action, account_id, target, reason, details, at) values (
    p_act.id, p_act.actor, p_act.act, p_act.account_id,
    audit_public_id(case split_part(p_act.act, '_', 1)
      when 'adjustment' then 'trf' when 'refund' then 'req' when 'proposal' then 'ppl' else 'dsp' end, p_act.target::uuid),
    p_act.reason,
    jsonb_strip_nulls(jsonb_build_object('amountMicroTokens', p_act.amount::text, 'ticket', p_act.ticket,
      'beforeMicroTokens', p_act.before, 'afterMicroTokens', p_act.after)),
    p_act.at)
$$;

create function audit_voucher_act(p_act voucher_act) returns void
language sql security definer set search_path = billing, pg_temp as $$
  insert into audit_act (id, actor_id, action, target, reason, details, at)
  select p_act.id, p_act.actor, 'voucher_batch_' || p_act.act, audit_public_id('vcb', p_act.batch_id), p_act.reason,
    jsonb_build_object('vouchers', b.total, 'amountMicroTokens', b.amount::text, 'bucket', b.bucket), p_act.at
  from voucher_batch b where b.id = p_act.batch_id
$$;

create function audit_price_act(p_act price_act) returns void
language sql security definer set search_path = billing, pg_temp as $$
  insert into audit_act (id, actor_id, action, account_id, target, reason, details, at) values (
    p_act.id, p_act.actor, 'price_' || p_act.act,
    case when p_act.act = 'group_set' then p_act.target end,
    audit_public_id(case when p_act.act = 'group_set' then 'acc' else 'prc' end, p_act.target),
    p_act.reason, jsonb_strip_nulls(jsonb_build_object('before', p_act.before, 'after', p_act.after)), p_act.at)
$$;

create function audit_price_version(p_version price_version) returns void
language sql security definer set search_path = billing, pg_temp as $$
  insert into audit_act (id, actor_id, action, target, details, at) values (
    p_version.id, p_version.created_by, 'price_version_created', audit_public_id('prc', p_version.id),
    jsonb_build_object('effectiveAt', to_char(p_version.effective_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
    p_version.created_at)
$$;

select audit_operator_act(a) from operator_act a order by a.id;
select audit_voucher_act(a) from voucher_act a order by a.id;
select audit_price_act(a) from price_act a order by a.id;
select audit_price_version(v) from price_version v order by v.id;

create function audit_line() returns trigger language plpgsql security definer set search_path = billing, pg_temp as $$
begin
  case tg_table_name
    when 'operator_act' then perform audit_operator_act(new);
    when 'voucher_act' then perform audit_voucher_act(new);
    when 'price_act' then perform audit_price_act(new);
    when 'price_version' then perform audit_price_version(new);
  end case;
  return null;
end $$;

-- At the commit: the log has one writer at a time, and nobody holds it while he waits for money.
create constraint trigger operator_act_audited after insert on operator_act deferrable initially deferred
  for each row execute function audit_line();
create constraint trigger voucher_act_audited after insert on voucher_act deferrable initially deferred
  for each row execute function audit_line();
create constraint trigger price_act_audited after insert on price_act deferrable initially deferred
  for each row execute function audit_line();
create constraint trigger price_version_audited after insert on price_version deferrable initially deferred
  for each row execute function audit_line();

revoke execute on function audit_operator_act(operator_act), audit_voucher_act(voucher_act), audit_price_act(price_act),
  audit_price_version(price_version), audit_line() from public;
do $$
declare v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke insert on audit_act from %I', v_role);
  execute format('revoke execute on function audit_operator_act(operator_act), audit_voucher_act(voucher_act),
    audit_price_act(price_act), audit_price_version(price_version), audit_line() from %I', v_role);
end $$;
`,
);
