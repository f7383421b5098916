import { auditLogMigration, type Migration } from "@codex/db";

/** What operators do with channels becomes a line of the audit log (ADR 0022), at the commit of the act and out of `channel_act`. */
export const channelAuditLog: Migration = auditLogMigration(
  "20261127T0300_create_audit_log",
  `
create function audit_channel_act(p_act channel_act) returns void
language sql security definer set search_path = gateway, pg_temp as $$
  insert into audit_act (id, actor_id, action, target, details, at) values (
    p_act.id, p_act.actor_id, p_act.act,
    case when p_act.channel_id is not null then audit_public_id('chn', p_act.channel_id) end,
    jsonb_strip_nulls(jsonb_build_object('channelName', p_act.channel_name)) || p_act.change, p_act.at)
$$;
select audit_channel_act(a) from channel_act a order by a.at, a.id;
create function audit_line() returns trigger language plpgsql security definer set search_path = gateway, pg_temp as $$
begin
  perform audit_channel_act(new);
  return null;
end $$;
create constraint trigger channel_act_audited after insert on channel_act deferrable initially deferred
  for each row execute function audit_line();
revoke execute on function audit_channel_act(channel_act), audit_line() from public;
do $$
declare v_role text := coalesce(current_setting('codex.app_role', true), '');
begin
  if v_role = '' then return; end if;
  execute format('revoke insert on audit_act from %I', v_role);
  execute format('revoke execute on function audit_channel_act(channel_act), audit_line() from %I', v_role);
end $$;
`,
);
