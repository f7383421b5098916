import { firstBatch, firstTransfer, type AuditCheck } from "./check.ts";

/** The job that ends what is due runs every minute or so; what it has not ended by now, it will not. */
const overdueAfter = "interval '10 minutes'";
const clearingAgeMax = "interval '30 days'";
const outboxAgeMax = "interval '5 seconds'";

/** Every transfer has its entries, every pending one comes to an end, every decision is told. */
export const transferChecks: readonly AuditCheck[] = [
  {
    id: "transfer-legs",
    says: "a transfer by command has two opposite entries",
    // A sum and no join: looked up one by one, each grant would walk through all entries of the operator's account.
    sql: `
      select transfer_id, ledger_account_id, amount from (
        select id as transfer_id, debit_account_id as ledger_account_id, -amount as amount, 1 as due
          from transfer where batch_id is null and created_at >= $1
        union all
        select id, credit_account_id, amount, 1 from transfer where batch_id is null and created_at >= $1
        union all
        select transfer_id, ledger_account_id, amount, -1 from entry where batch_id is null and transfer_id >= ${firstTransfer}
      ) legs
      group by 1, 2, 3 having sum(due) > 0`,
  },
  {
    id: "batch-legs",
    says: "a transfer of a batch has its debit entry",
    // A sum as well: looked up one by one they take far longer, and keep every row version that is written over meanwhile.
    sql: `
      select transfer_id, max(batch_id) as batch_id, -amount as amount from (
        select id as transfer_id, batch_id, debit_account_id as ledger_account_id, -amount as amount, 1 as due
          from transfer where batch_id >= ${firstBatch}
        union all
        select transfer_id, batch_id, ledger_account_id, amount, -1 from entry
          where batch_id >= ${firstBatch} and transfer_id is not null
      ) legs
      group by transfer_id, ledger_account_id, amount having sum(due) > 0`,
  },
  {
    id: "batch-balances",
    says: "the entries of a batch sum to zero",
    sql: `
      select batch_id, sum(amount) as sum from entry where batch_id >= ${firstBatch} group by 1 having sum(amount) <> 0`,
  },
  {
    id: "entry-cause",
    says: "no entry is without its transfer or batch",
    only: "full",
    sql: `
      select e.ledger_account_id, e.version, e.amount, e.transfer_id, e.batch_id from entry e
      left join transfer t on t.id = e.transfer_id
      left join ingest_batch b on b.id = e.batch_id
      where (e.transfer_id is not null and t.id is null) or (e.batch_id is not null and b.id is null)`,
  },
  {
    id: "pending-posted",
    says: "a posted pending debit has moved what it says",
    sql: `
      select p.id as pending_id, p.posted_amount, t.amount from pending_transfer p left join transfer t on t.id = p.transfer_id
      where p.state = 'posted' and p.resolved_at >= $1
        and (t.id is null or t.amount <> p.posted_amount or t.kind <> p.kind)`,
  },
  {
    id: "I9",
    says: "what is pending ends when it is due",
    sql: `
      select id as pending_id, account_id, amount, created_at, expires_at from pending_transfer
      where state = 'pending'
        and (expires_at < now() - ${overdueAfter} or (expires_at is null and created_at < now() - ${clearingAgeMax}))`,
  },
  {
    id: "I10",
    says: "no event waits in the outbox",
    sql: `
      select count(*) as events, min(created_at) as oldest from outbox
      having min(created_at) < now() - ${outboxAgeMax}`,
  },
];
