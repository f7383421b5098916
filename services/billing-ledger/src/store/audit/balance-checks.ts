import { firstBatch, firstTransfer, type AuditCheck } from "./check.ts";

const accounts = `
  select paid_account_id as id, paid as posted, paid_version as version from balance where updated_at >= $1
  union all select bonus_account_id, bonus, bonus_version from balance where updated_at >= $1
  union all select ledger_account_id, posted, version from operator_balance`;

/** Balances against their entries. I2 and I3 by induction for the last minutes, by the whole sum in the full audit. */
export const balanceChecks: readonly AuditCheck[] = [
  {
    id: "I1",
    says: "the sum of all accounts is zero",
    sql: `
      select total from (
        select (select coalesce(sum(paid + bonus), 0) from balance) + (select coalesce(sum(posted), 0) from operator_balance) as total
      ) t where total <> 0`,
  },
  {
    id: "I2",
    says: "a balance is the sum and the number of its entries",
    only: "full",
    sql: `
      select a.id as ledger_account_id, p.posted, p.version, e.amount as entries_sum, e.entries from ledger_account a
      join (${accounts}) p on p.id = a.id
      left join (select ledger_account_id as id, sum(amount) as amount, count(*) as entries from entry group by 1) e on e.id = a.id
      where p.posted <> coalesce(e.amount, 0) or p.version <> coalesce(e.entries, 0)`,
  },
  {
    id: "I2",
    says: "a balance is what its last entry says",
    only: "incremental",
    sql: `
      select p.id as ledger_account_id, p.posted, p.version, e.balance_after from (${accounts}) p
      left join entry e on e.ledger_account_id = p.id and e.version = p.version
      where coalesce(e.balance_after, 0) <> p.posted or (p.version > 0) <> (e.version is not null)
        or exists (select from entry later where later.ledger_account_id = p.id and later.version = p.version + 1)`,
  },
  {
    id: "I3",
    says: "the entries of an account form a chain",
    only: "full",
    sql: `
      select ledger_account_id, version, before, amount, balance_after from (
        select ledger_account_id, version, balance_after, amount,
          lag(balance_after, 1, 0::bigint) over w as before, lag(version, 1, 0::bigint) over w as version_before
        from entry window w as (partition by ledger_account_id order by version)
      ) c where balance_after <> before + amount or version <> version_before + 1`,
  },
  {
    id: "I3",
    says: "each new entry continues the one before it",
    only: "incremental",
    sql: `
      with written as (
        select * from entry where batch_id >= ${firstBatch}
        union all select * from entry where batch_id is null and transfer_id >= ${firstTransfer}
      )
      select w.ledger_account_id, w.version, p.balance_after as before, w.amount, w.balance_after from written w
      left join entry p on p.ledger_account_id = w.ledger_account_id and p.version = w.version - 1
      where w.balance_after <> coalesce(p.balance_after, 0) + w.amount or (w.version > 1) <> (p.version is not null)`,
  },
  {
    id: "I6",
    says: "nothing is negative, and what is available is not",
    sql: `
      select account_id, paid, bonus, reserved from balance
      where paid + bonus - reserved < 0 or paid < 0 or bonus < 0 or reserved < 0`,
  },
];
