import { auditLogMigration, type Migration } from "@codex/db";

/**
 * The log of what operators do with accounts becomes the log of every service (ADR 0022). The lines that there are become the first of
 * the new chain; a replica of the version before writes into the old table still, and its lines follow.
 */
export const accountAuditLog: Migration = auditLogMigration(
  "20261127T0100_create_audit_log",
  `
insert into audit_act (id, actor_id, action, account_id, reason, at)
  select id, actor_id, action, account_id, reason, at from account_act order by seq;
create function copy_account_act() returns trigger language plpgsql set search_path from current as $$
begin
  insert into audit_act (id, actor_id, action, account_id, reason, at)
    values (new.id, new.actor_id, new.action, new.account_id, new.reason, new.at);
  return null;
end $$;
create constraint trigger account_act_copied after insert on account_act deferrable initially deferred
  for each row execute function copy_account_act();
`,
);
