import type { Bucket, MovementKind } from "@codex/contracts";
import type { Db } from "@codex/db";
import { idToUuid, uuidToId, type AccountId } from "@codex/kernel";
import { sql, type RawBuilder } from "kysely";
import type { KindSum, StatementStore } from "../app/statement-ports.ts";
import type { ChainSlice, Movement, Position } from "../domain/statement.ts";
import { toCount } from "./mapping.ts";
import type { Tables } from "./schema.ts";

/** Entries summed by one statement: some ten milliseconds, far below the statement timeout, however long the month was. */
const sumStep = 20_000;

/** The ledger account of a customer's bucket. */
function chainOf(accountId: AccountId, bucket: Bucket): RawBuilder<string> {
  return sql<string>`(select id from ledger_account
    where account_id = ${idToUuid(accountId)} and kind = ${`customer_${bucket}`})`;
}

export function createStatementStore(db: Db<Tables>): StatementStore {
  return {
    heads: async (accountId) => {
      const { rows } = await sql<{ paid: bigint; bonus: bigint }>`
        select paid_version as paid, bonus_version as bonus from balance
        where account_id = ${idToUuid(accountId)}`.execute(db.kysely);
      return { paid: toCount(rows[0]?.paid ?? 0n), bonus: toCount(rows[0]?.bonus ?? 0n) };
    },
    cut: async (accountId, heads, at): Promise<Position> => {
      const { rows } = await sql<{ paid: bigint; bonus: bigint }>`
        select statement_cut(${chainOf(accountId, "paid")}, ${heads.paid}::bigint, ${at}::timestamptz) as paid,
          statement_cut(${chainOf(accountId, "bonus")}, ${heads.bonus}::bigint, ${at}::timestamptz) as bonus`.execute(
        db.kysely,
      );
      return { paid: toCount(rows[0]?.paid ?? 0n), bonus: toCount(rows[0]?.bonus ?? 0n) };
    },
    slice: (accountId, bucket, head, floor, limit) => readSlice(db, accountId, bucket, { head, floor, limit }),
    sums: async (accountId, bucket, head, floor) => {
      const totals = new Map<MovementKind, KindSum>();
      for (let from = floor; from < head; from += sumStep) {
        const to = Math.min(head, from + sumStep);
        const { rows } = await sql<{ kind: MovementKind; amount: bigint; count: bigint }>`
          select t.kind, sum(e.amount)::bigint as amount, count(*) as count
          from entry e join transfer t on t.id = e.transfer_id
          where e.ledger_account_id = ${chainOf(accountId, bucket)} and e.version > ${from} and e.version <= ${to}
          group by t.kind`.execute(db.kysely);
        for (const { kind, amount, count } of rows) {
          const sum = totals.get(kind) ?? { kind, bucket, amount: 0n, count: 0 };
          totals.set(kind, { ...sum, amount: sum.amount + amount, count: sum.count + toCount(count) });
        }
      }
      return [...totals.values()].toSorted((a, b) => (a.kind < b.kind ? -1 : 1));
    },
  };
}

interface MovementRow {
  version: bigint;
  amount: bigint;
  balance_after: bigint;
  transfer_id: string;
  kind: MovementKind;
  created_at: Date;
  reason: string | null;
  event_count: number | null;
}

async function readSlice(
  db: Db<Tables>,
  accountId: AccountId,
  bucket: Bucket,
  { head, floor, limit }: { readonly head: number; readonly floor: number; readonly limit: number },
): Promise<ChainSlice> {
  if (head === 0) return { movements: [], headBalance: 0n };
  // The head itself is read even where the period is empty: its balance is the total's other half.
  const { rows } = await sql<MovementRow>`
    select e.version, e.amount, e.balance_after, t.id as transfer_id, t.kind, t.created_at, t.reason, t.event_count
    from entry e join transfer t on t.id = e.transfer_id
    where e.ledger_account_id = ${chainOf(accountId, bucket)} and e.version <= ${head}
      and e.version > least(${floor}::bigint, ${head}::bigint - 1)
    order by e.version desc limit ${limit}`.execute(db.kysely);
  const movements = rows.filter((row) => row.version > BigInt(floor)).map((row) => fromDbMovement(bucket, row));
  return { movements, headBalance: rows[0]?.balance_after ?? 0n };
}

function fromDbMovement(bucket: Bucket, row: MovementRow): Movement {
  return {
    bucket,
    version: toCount(row.version),
    transferId: uuidToId("trf", row.transfer_id),
    at: row.created_at,
    kind: row.kind,
    amount: row.amount,
    balanceAfter: row.balance_after,
    reason: row.reason,
    usageCount: row.event_count,
  };
}
