import type { AuditCheck } from "./check.ts";

/** What must hold of the log of what operators did (ADR 0022). It is small, so each full audit reads all of it. */
export const actChecks: readonly AuditCheck[] = [
  {
    id: "acts-chain",
    says: "each line of the audit log follows from the one before it",
    only: "full",
    sql: `select seq from (
      select seq, hash, previous_hash,
        coalesce(lag(hash) over in_order, decode(repeat('00', 32), 'hex')) as hash_before,
        row_number() over in_order as number,
        sha256(previous_hash || convert_to(
          audit_field(seq::text) || audit_field(id::text) || audit_field(actor_id::text) || audit_field(action)
            || audit_field(account_id::text) || audit_field(target) || audit_field(reason) || audit_field(details::text)
            || audit_field(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), 'UTF8')) as expected
      from audit_act window in_order as (order by seq)
    ) as line where seq <> number or previous_hash <> hash_before or hash <> expected`,
  },
  {
    id: "acts-complete",
    says: "each act of an operator has its line in the audit log",
    only: "full",
    sql: `select id, 'operator_act' as of from operator_act where id not in (select id from audit_act)
      union all select id, 'voucher_act' from voucher_act where id not in (select id from audit_act)
      union all select id, 'price_act' from price_act where id not in (select id from audit_act)
      union all select id, 'price_version' from price_version where id not in (select id from audit_act)`,
  },
];
