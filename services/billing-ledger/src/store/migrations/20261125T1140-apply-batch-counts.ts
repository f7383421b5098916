import { applyBatch } from "./20261125T1120-apply-batch.ts";

/**
 * apply_batch finds the rows of leases and balances by their place in the table, which is as sure as the locks it holds. A
 * writer that forgot the lock of the balance would make it pass over a row in silence; now it counts what it changed, and
 * rolls back when a row is missing. Not the content's fault (class CX), so the batch is tried again and nothing goes aside.
 *
 * The text is the former function's with three additions; that file never changes.
 */
const from = applyBatch.indexOf("create function apply_batch(");
const to = applyBatch.indexOf("-- The three windows of each lease's grant");

const additions = [
  ["create function apply_batch(", "create or replace function apply_batch("],
  [
    "  v_revenue uuid;\n",
    `  v_rows bigint;
  v_moved bigint;
  v_revenue uuid;
`,
  ],
  [
    "where l.ctid = u.place and u.take > 0;\n",
    `where l.ctid = u.place and u.take > 0;
  get diagnostics v_rows = row_count;
  if v_rows <> (select count(*) from unnest(v_use_take) as t(take) where t.take > 0) then
    raise exception 'a lease changed without the lock of its balance' using errcode = 'CX002';
  end if;
`,
  ],
  [
    "from moved having count(*) > 0;\n",
    `from moved having count(*) > 0
    returning cardinality(account_nos) into v_moved;
  if coalesce(v_moved, 0) <> (
    select count(distinct d.account_id) from (
      select u.account_id from unnest(v_use_account, v_use_take) as u(account_id, take) where u.take > 0
      union all select unnest(v_freed_account)
    ) d
  ) then
    raise exception 'a balance changed without its lock' using errcode = 'CX002';
  end if;
`,
  ],
] as const;

export const applyBatchCounts = additions.reduce(
  (text, [before, after]) => {
    if (text.split(before).length !== 2) throw new Error(`apply_batch has not exactly one "${before.trim()}"`);
    return text.replace(before, () => after);
  },
  applyBatch.slice(from, to),
);
