import { chargedOf, firstBatch, notArchived, type AuditCheck } from "./check.ts";

/** What is reserved, by whom, and what was settled on it. */
export const reservationChecks: readonly AuditCheck[] = [
  {
    id: "I5",
    says: "reserved is what live leases hold and pending debits are to take",
    sql: `
      select b.account_id, b.reserved, l.held, p.pending from balance b
      left join (select account_id, sum(granted - settled) as held from lease where state in ('open', 'closing') group by 1) l
        on l.account_id = b.account_id
      left join (select account_id, sum(amount) as pending from pending_transfer where state = 'pending' group by 1) p
        on p.account_id = b.account_id
      where b.reserved <> coalesce(l.held, 0) + coalesce(p.pending, 0)`,
  },
  {
    id: "I5-pending-kept",
    says: "the paid bucket can keep every pending debit",
    sql: `
      select b.account_id, b.paid, p.pending from balance b
      join (select account_id, sum(amount) as pending from pending_transfer where state = 'pending' group by 1) p
        on p.account_id = b.account_id
      where b.paid < p.pending`,
  },
  {
    id: "I5-lease-settled",
    says: "a lease settled what its requests were charged",
    only: "full",
    // A sum and no join of the two, which the planner takes for small and walks through for each lease.
    sql: `
      with used as (
        select stream >> 4 as epoch, lease_no, lease_id, account_no, sum(${chargedOf}) as charged
        from usage_row where request_id is not null group by 1, 2, 3, 4
      )
      select lease_id, account_id, sum(settled) as settled, sum(charged) as charged from (
        select l.id as lease_id, l.account_id, l.settled, 0 as charged from lease l where ${notArchived("l.epoch")}
        union all
        select coalesce(u.lease_id, l.id), b.account_id, 0, u.charged from used u
        join balance b on b.account_no = u.account_no
        left join lease l on l.epoch = u.epoch and l.request_no = u.lease_no
      ) sums
      group by 1, 2 having sum(settled) <> sum(charged)`,
  },
  {
    id: "key-budget",
    says: "a key's budget reserves what its live leases hold",
    sql: `
      with held as (
        select l.key_id, w.period, w.starts_on, sum(l.granted - l.settled) as held
        from lease l, lateral (values
          ('day', l.granted_on), ('month', date_trunc('month', l.granted_on)::date), ('total', date '1970-01-01')
        ) as w(period, starts_on)
        where l.state in ('open', 'closing') and l.key_id is not null group by 1, 2, 3
      )
      select key_id, period, starts_on, b.reserved, h.held
      from key_budget b full join held h using (key_id, period, starts_on)
      where coalesce(b.reserved, 0) <> coalesce(h.held, 0)`,
  },
  {
    // A spool record that went to quarantine counts for the worker and not for us: it has an alarm of its own.
    id: "I11-lease",
    says: "the worker's own sum of a closed lease is ours",
    sql: `
      select l.id as lease_id, l.epoch, l.settled, l.worker_settled from lease l
      where l.state = 'closed' and l.closed_at >= $1 and l.settled is distinct from l.worker_settled
        and not exists (select from quarantine q where q.epoch = l.epoch and q.partition = l.partition)`,
  },
  {
    id: "I11-epoch",
    says: "the worker's sums of a finished epoch are what its requests were charged",
    only: "full",
    sql: `
      select c.epoch, c.workers, u.charged from (
        select epoch, sum(worker_settled) as workers from lease group by epoch having bool_and(state = 'closed')
      ) c
      left join (select stream >> 4 as epoch, sum(${chargedOf}) as charged from usage_row group by 1) u on u.epoch = c.epoch
      where c.workers is distinct from coalesce(u.charged, 0)
        and not exists (select from quarantine q where q.epoch = c.epoch)
        and ${notArchived("c.epoch")}`,
  },
  {
    id: "batch-transfers",
    says: "the transfers of a batch are what it settled and wrote off",
    sql: `
      select b.id as batch_id, b.settled, b.written_off, t.usage, t.write_off from ingest_batch b
      left join (
        select batch_id, coalesce(sum(amount) filter (where kind = 'usage'), 0) as usage,
          coalesce(sum(amount) filter (where kind = 'write_off'), 0) as write_off
        from transfer where batch_id >= ${firstBatch} group by 1
      ) t on t.batch_id = b.id
      where b.created_at >= $1 and (coalesce(t.usage, 0) <> b.settled or coalesce(t.write_off, 0) <> b.written_off)`,
  },
];
