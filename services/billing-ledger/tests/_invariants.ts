import type pg from "pg";

type Query = <Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** The ledger's invariants, each a query that answers what breaks it. I1-I6 of the design, and that every transfer balances. */
const checks: Readonly<Record<string, string>> = {
  "I1 the sum of everything is zero": `
    select total from (
      select (select coalesce(sum(paid + bonus), 0) from balance) + (select coalesce(sum(posted), 0) from operator_balance) as total
    ) t where total <> 0`,
  "I2 a balance is the sum and the number of its entries": `
    select a.id, p.posted, p.version, e.amount, e.entries from ledger_account a
    join (
      select paid_account_id as id, paid as posted, paid_version as version from balance
      union all select bonus_account_id, bonus, bonus_version from balance
      union all select ledger_account_id, posted, version from operator_balance
    ) p on p.id = a.id
    left join (select ledger_account_id as id, sum(amount) as amount, count(*) as entries from entry group by 1) e on e.id = a.id
    where p.posted <> coalesce(e.amount, 0) or p.version <> coalesce(e.entries, 0)`,
  "I3 entries form a chain": `
    select * from (
      select ledger_account_id, version, balance_after, amount,
        lag(balance_after, 1, 0::bigint) over w as before, lag(version, 1, 0::bigint) over w as version_before
      from entry window w as (partition by ledger_account_id order by version)
    ) c where balance_after <> before + amount or version <> version_before + 1`,
  "I4 batches account for every event": `
    select b.id from ingest_batch b
    left join (
      select batch_id, count(*) as n, coalesce(sum(cost), 0) as cost, coalesce(sum(charged), 0) as charged from usage_event group by 1
    ) u on u.batch_id = b.id
    where coalesce(u.n, 0) <> b.inserted or coalesce(u.cost, 0) <> b.settled + b.written_off or coalesce(u.charged, 0) <> b.settled`,
  "I4 no event outside a batch": `select epoch, seq from usage_event u where not exists (select from ingest_batch b where b.id = u.batch_id)`,
  "I5 reserved is what open leases hold and pending debits are to take": `
    select b.account_id, b.reserved, l.held, p.pending from balance b
    left join (select account_id, sum(granted - settled) as held from lease where state in ('open', 'closing') group by 1) l
      on l.account_id = b.account_id
    left join (select account_id, sum(amount) as pending from pending_transfer where state = 'pending' group by 1) p
      on p.account_id = b.account_id
    where b.reserved <> coalesce(l.held, 0) + coalesce(p.pending, 0)`,
  "I5 the paid bucket can keep every pending debit": `
    select b.account_id, b.paid, p.pending from balance b
    join (select account_id, sum(amount) as pending from pending_transfer where state = 'pending' group by 1) p
      on p.account_id = b.account_id
    where b.paid < p.pending`,
  "a posted pending debit has moved what it says": `
    select p.id from pending_transfer p left join transfer t on t.id = p.transfer_id
    where p.state = 'posted' and (t.id is null or t.amount <> p.posted_amount or t.kind <> p.kind)`,
  "I5 a lease settled what its events were charged": `
    select l.id from lease l
    left join (select lease_id, account_id, sum(charged) as charged from usage_event where request_id is not null group by 1, 2) u
      on u.lease_id = l.id and u.account_id = l.account_id
    where l.settled <> coalesce(u.charged, 0)`,
  "I6 available is not negative": `select account_id from balance where paid + bonus - reserved < 0 or paid < 0 or bonus < 0 or reserved < 0`,
  "every transfer outside a batch has two opposite entries": `
    select t.id from transfer t
    where t.batch_id is null and not exists (
      select from entry d join entry c on c.transfer_id = t.id and c.ledger_account_id = t.credit_account_id and c.amount = t.amount
      where d.transfer_id = t.id and d.ledger_account_id = t.debit_account_id and d.amount = -t.amount)`,
  "refunds of a request never exceed its charge": `
    select r.account_id, r.request_id, sum(r.paid_amount + r.bonus_amount) as refunded, max(u.charged) as charged
    from usage_refund r left join usage_line u on u.account_id = r.account_id and u.request_id = r.request_id
    group by 1, 2
    having sum(r.paid_amount + r.bonus_amount) <> max(r.refunded_after) or max(r.refunded_after) > coalesce(max(u.charged), 0)`,
  "a refund has moved what it says, to the bucket it says": `
    select r.* from usage_refund r join balance b on b.account_id = r.account_id
    left join transfer p on p.id = r.paid_transfer_id and p.credit_account_id = b.paid_account_id and p.kind = r.kind
    left join transfer o on o.id = r.bonus_transfer_id and o.credit_account_id = b.bonus_account_id and o.kind = r.kind
    where coalesce(p.amount, 0) <> r.paid_amount or coalesce(o.amount, 0) <> r.bonus_amount`,
  "every batch balances": `select batch_id, sum(amount) from entry where batch_id is not null group by 1 having sum(amount) <> 0`,
  "every transfer of a batch has its debit entry": `
    select t.id from transfer t
    where t.batch_id is not null and not exists (
      select from entry d where d.transfer_id = t.id and d.ledger_account_id = t.debit_account_id and d.amount = -t.amount)`,
};

/** `query` needs the schema on its search path. Names of the broken invariants, with the first rows that break them; empty when the books are right. */
export async function brokenInvariants(query: Query): Promise<string[]> {
  const broken: string[] = [];
  for (const [name, text] of Object.entries(checks)) {
    const rows = await query(`with found as (${text}) select * from found limit 3`);
    if (rows.length > 0) broken.push(`${name}: ${JSON.stringify(rows)}`);
  }
  return broken;
}
