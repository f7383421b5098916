import type { AuditCheck } from "./check.ts";

/** What was given back of what was charged. */
export const refundChecks: readonly AuditCheck[] = [
  {
    id: "refund-within-charge",
    says: "refunds of a request add up, and never exceed its charge",
    sql: `
      with touched as (select distinct account_id, request_id from usage_refund where created_at >= $1)
      select account_id, request_id, sum(r.paid_amount + r.bonus_amount) as refunded, max(r.charged) as charged
      from usage_refund r join touched using (account_id, request_id)
      group by 1, 2
      having sum(r.paid_amount + r.bonus_amount) <> max(r.refunded_after) or max(r.refunded_after) > min(r.charged)`,
  },
  {
    id: "refund-of-usage",
    says: "a refund names the charge of its request",
    only: "full",
    sql: `
      select r.account_id, r.request_id, r.charged, u.charged as usage_charged
      from usage_refund r join usage_line u on u.account_id = r.account_id and u.request_id = r.request_id
      where u.charged <> r.charged`,
  },
  {
    id: "refund-moved",
    says: "a refund has moved what it says, to the bucket it says",
    sql: `
      select r.account_id, r.request_id, r.number, r.paid_amount, p.amount as paid_moved, r.bonus_amount, o.amount as bonus_moved
      from usage_refund r join balance b on b.account_id = r.account_id
      left join transfer p on p.id = r.paid_transfer_id and p.credit_account_id = b.paid_account_id and p.kind = r.kind
      left join transfer o on o.id = r.bonus_transfer_id and o.credit_account_id = b.bonus_account_id and o.kind = r.kind
      where r.created_at >= $1 and (coalesce(p.amount, 0) <> r.paid_amount or coalesce(o.amount, 0) <> r.bonus_amount)`,
  },
];
