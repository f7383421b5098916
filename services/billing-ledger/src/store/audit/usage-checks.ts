import { chargedOf, costOf, firstBatch, notArchived, type AuditCheck } from "./check.ts";

/** How long a hole in a spool, and a lease, may stay before somebody must look. Reclaim takes leases back after a day. */
const gapMax = "interval '15 minutes'";
const leaseAgeMax = "interval '7 days'";

/** Usage records: each in one batch, each request once, no hole below the watermark, none left open above it. */
export const usageChecks: readonly AuditCheck[] = [
  {
    id: "I4",
    says: "a batch is the number and the sum of its records",
    sql: `
      select b.id as batch_id, b.inserted, u.records, b.settled, b.written_off, u.cost, u.charged from ingest_batch b
      left join (
        select batch_id, count(*) as records, sum(${costOf}) as cost, sum(${chargedOf}) as charged
        from usage_row where batch_id >= ${firstBatch} group by 1
      ) u on u.batch_id = b.id
      where b.created_at >= $1
        -- Records of an archived day are gone, so batches that may have held some cannot be counted again.
        and b.created_at >= coalesce((select max(archived_at) from gateway_epoch), '-infinity')
        and (coalesce(u.records, 0) <> b.inserted or coalesce(u.cost, 0) <> b.settled + b.written_off
          or coalesce(u.charged, 0) <> b.settled)`,
  },
  {
    id: "I4-no-orphan",
    says: "no record is outside a batch",
    only: "full",
    sql: `
      select epoch, partition, seq, batch_id from spool_record r
      where not exists (select from ingest_batch b where b.id = r.batch_id)`,
  },
  {
    // Else no view shows it, and no sum above would miss it.
    id: "usage-named",
    says: "a record has its account, and a request its key and what it was",
    only: "full",
    sql: `
      select stream, seq, account_no, key_no, shape_no from usage_row u
      where not exists (select from balance b where b.account_no = u.account_no)
        or (request_id is not null and (not exists (select from usage_key k where k.no = u.key_no)
          or not exists (select from usage_shape s where s.no = u.shape_no)))`,
  },
  {
    id: "I7",
    says: "a watermark is the number of records below it",
    only: "full",
    sql: `
      select c.epoch, c.partition, c.contiguous, k.known from gateway_cursor c
      left join lateral (
        select count(*) as known from (
          select seq from spool_record r where r.stream = c.epoch * 16 + c.partition and r.seq <= c.contiguous
          union
          select seq from quarantine q where q.epoch = c.epoch and q.partition = c.partition and q.seq <= c.contiguous
        ) seqs
      ) k on true
      where c.contiguous <> coalesce(k.known, 0) and ${notArchived("c.epoch")}`,
  },
  {
    id: "I7-next",
    says: "a watermark stands on a record and before a hole",
    sql: `
      select c.epoch, c.partition, c.contiguous from gateway_cursor c
      where c.updated_at >= $1 and ${notArchived("c.epoch")}
        and ((c.contiguous > 0
            and not exists (select from spool_record r where r.stream = c.epoch * 16 + c.partition and r.seq = c.contiguous)
            and not exists (select from quarantine q where q.epoch = c.epoch and q.partition = c.partition and q.seq = c.contiguous))
          or exists (select from spool_record r where r.stream = c.epoch * 16 + c.partition and r.seq = c.contiguous + 1)
          or exists (select from quarantine q where q.epoch = c.epoch and q.partition = c.partition and q.seq = c.contiguous + 1))`,
  },
  {
    id: "I8-once",
    says: "a request was charged once",
    only: "full",
    sql: `
      select b.account_id, u.request_id, u.records from (
        select account_no, request_id, count(*) as records from usage_row where request_id is not null
        group by 1, 2 having count(*) > 1
      ) u join balance b on b.account_no = u.account_no`,
  },
  {
    id: "I8-closed",
    says: "every lease comes to its close",
    sql: `select id as lease_id, epoch, state, granted_at from lease
      where state in ('open', 'closing') and granted_at < now() - ${leaseAgeMax}`,
  },
  {
    id: "I8-gap",
    says: "no hole in a spool stays",
    only: "full",
    sql: `
      select c.epoch, c.partition, c.contiguous, min(r.seq) as next_known from gateway_cursor c
      join spool_record r on r.stream = c.epoch * 16 + c.partition and r.seq > c.contiguous
      join ingest_batch b on b.id = r.batch_id and b.created_at < now() - ${gapMax}
      where ${notArchived("c.epoch")} group by 1, 2, 3`,
  },
];
