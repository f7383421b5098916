import { usagePartitionOf, type OperatorAct, type Proposal } from "@codex/contracts";
import { insertOutbox, type Db } from "@codex/db";
import { idToUuid, uuidToId, type AccountId } from "@codex/kernel";
import { sql, type Selectable } from "kysely";
import type { Adjustable, Command, OperationsStore, OperatorAsk, Page } from "../app/operations-ports.ts";
import {
  fromDbAdjusted,
  fromDbBalance,
  fromDbMoney,
  fromDbRefunded,
  fromDbRefundedOrProposed,
  needed,
  runCommand,
  type DbBalance,
} from "./command-answer.ts";
import type { EncodeBalanceChanged } from "./ledger-store.ts";
import type { OperatorActTable, OperatorProposalTable } from "./operation-tables.ts";
import type { Tables } from "./schema.ts";

export function createOperationsStore(db: Db<Tables>, encode: EncodeBalanceChanged): OperationsStore {
  return {
    adjust: (command, ask) =>
      runCommand(
        db,
        encode,
        sql`adjust_account(${keyOf(command)}, ${idToUuid(ask.actor)}::uuid, ${idToUuid(ask.accountId)}::uuid,
          ${shardOf(ask.accountId)}, ${ask.bucket}, ${ask.amount}::bigint, ${askOf(ask)})`,
        fromDbAdjusted,
      ),
    adjustable: (actor, accountId) => readAdjustable(db, actor, accountId),
    refund: (command, ask) =>
      runCommand(
        db,
        encode,
        sql`refund_usage(${keyOf(command)}, ${idToUuid(ask.actor)}::uuid, ${idToUuid(ask.accountId)}::uuid,
          ${idToUuid(ask.requestId)}::uuid, ${shardOf(ask.accountId)}, ${ask.amount}::bigint, ${askOf(ask)})`,
        fromDbRefundedOrProposed,
      ),
    autoRefund: (command, accountId, requestId, rule) =>
      runCommand(
        db,
        encode,
        sql`auto_refund(${keyOf(command)}, ${idToUuid(accountId)}::uuid, ${idToUuid(requestId)}::uuid,
          ${shardOf(accountId)}, ${rule})`,
        fromDbRefunded,
      ),
    decide: (command, ask) =>
      runCommand(
        db,
        encode,
        sql`decide_proposal(${keyOf(command)}, ${idToUuid(ask.actor)}::uuid, ${idToUuid(ask.proposalId)}::uuid,
          ${ask.approve}::boolean, ${ask.reason})`,
        (result) => ({
          proposalId: uuidToId("ppl", needed(result.proposal_id)),
          transferId: result.transfer_id === undefined ? null : uuidToId("trf", result.transfer_id),
        }),
      ),
    proposals: (state, limit, before) => readProposals(db, state, limit, before),
    acts: (accountId, limit, before) => readActs(db, accountId, limit, before),
    expire: (limit) => expire(db, encode, limit),
  };
}

/** The first two arguments of every command. */
export function keyOf(command: Command) {
  return sql`${command.key}, ${Buffer.from(command.inputHash)}::bytea`;
}

/** The last arguments of every command of an operator. */
export function askOf(ask: OperatorAsk) {
  return sql`${ask.reason}, ${ask.ticket}, ${ask.fourEyesAbove}::bigint, ${idToUuid(ask.proposalId)}::uuid,
    ${ask.proposalExpiresAt}::timestamptz`;
}

export function shardOf(accountId: AccountId) {
  return sql`${usagePartitionOf(accountId)}::smallint`;
}

async function readAdjustable(db: Db<Tables>, actor: AccountId, accountId: AccountId): Promise<Adjustable> {
  const { rows } = await sql<{ paid: bigint; bonus: bigint; reserved: bigint; pending: bigint; moved: bigint }>`
    select coalesce(b.paid, 0) as paid, coalesce(b.bonus, 0) as bonus, coalesce(b.reserved, 0) as reserved,
      coalesce((select sum(amount) from pending_transfer p where p.account_id = a.id and p.state = 'pending'), 0)::bigint as pending,
      moved_alone(${idToUuid(actor)}::uuid, a.id) as moved
    from (values (${idToUuid(accountId)}::uuid)) as a(id) left join balance b on b.account_id = a.id`.execute(
    db.kysely,
  );
  const row = needed(rows[0]);
  return { paid: row.paid, bonus: row.bonus, held: row.reserved, pending: row.pending, movedAlone: row.moved };
}

/** One more than asked for tells whether there is a next page. */
export function pageOf<Row, T>(rows: readonly Row[], limit: number, toItem: (row: Row) => T): Page<T> {
  const items = rows.slice(0, limit).map(toItem);
  return { items, next: rows.length > limit ? (items.at(-1) ?? null) : null };
}

async function readProposals(
  db: Db<Tables>,
  state: Proposal["state"] | undefined,
  limit: number,
  before: string | undefined,
): Promise<Page<Proposal>> {
  let query = db.kysely
    .selectFrom("operator_proposal")
    .selectAll()
    .orderBy("id", "desc")
    .limit(limit + 1);
  if (state !== undefined) query = query.where("state", "=", state);
  if (before !== undefined) query = query.where("id", "<", idToUuid(before));
  return pageOf(await query.execute(), limit, fromDbProposal);
}

function fromDbProposal(row: Selectable<OperatorProposalTable>): Proposal {
  return {
    proposalId: uuidToId("ppl", row.id),
    kind: row.kind,
    accountId: uuidToId("acc", row.account_id),
    bucket: row.bucket,
    amount: row.amount,
    requestId: row.request_id === null ? null : uuidToId("req", row.request_id),
    disputeId: row.dispute_id === null ? null : uuidToId("dsp", row.dispute_id),
    reason: row.reason,
    ticket: row.ticket,
    makerId: uuidToId("acc", row.maker),
    state: row.state,
    deciderId: row.decider === null ? null : uuidToId("acc", row.decider),
    decisionReason: row.decision_reason,
    transferId: row.transfer_id === null ? null : uuidToId("trf", row.transfer_id),
    createdAt: row.created_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
    decidedAt: row.decided_at === null ? null : row.decided_at.toISOString(),
  };
}

async function readActs(
  db: Db<Tables>,
  accountId: AccountId | undefined,
  limit: number,
  before: string | undefined,
): Promise<Page<OperatorAct>> {
  let query = db.kysely
    .selectFrom("operator_act")
    .selectAll()
    .orderBy("id", "desc")
    .limit(limit + 1);
  if (accountId !== undefined) query = query.where("account_id", "=", idToUuid(accountId));
  if (before !== undefined) query = query.where("id", "<", idToUuid(before));
  return pageOf(await query.execute(), limit, fromDbAct);
}

/** What the target of an act is, by the first word of its name. */
const targetPrefix = { adjustment: "trf", refund: "req", proposal: "ppl", dispute: "dsp" } as const;

function fromDbAct(row: Selectable<OperatorActTable>): OperatorAct {
  const prefix = Object.entries(targetPrefix).find(([word]) => row.act.startsWith(word))?.[1];
  return {
    actId: uuidToId("act", row.id),
    actorId: uuidToId("acc", row.actor),
    act: row.act,
    accountId: uuidToId("acc", row.account_id),
    target: prefix === undefined ? row.target : uuidToId(prefix, row.target),
    amount: row.amount,
    reason: row.reason,
    ticket: row.ticket,
    before: row.before === null ? null : fromDbMoney(row.before),
    after: row.after === null ? null : fromDbMoney(row.after),
    at: row.at.toISOString(),
  };
}

async function expire(
  db: Db<Tables>,
  encode: EncodeBalanceChanged,
  limit: number,
): Promise<{ pending: number; proposals: number }> {
  const pending = await db.transaction(async (trx) => {
    const { rows } = await sql<{ freed: DbBalance[] }>`select expire_pending_transfers(${limit}) as freed`.execute(trx);
    const freed = rows[0]?.freed ?? [];
    await insertOutbox(
      trx,
      freed.map((balance) => encode(fromDbBalance(balance))),
    );
    return freed.length;
  });
  const { rows } = await sql<{ ended: number }>`select expire_proposals(${limit}) as ended`.execute(db.kysely);
  return { pending, proposals: rows[0]?.ended ?? 0 };
}
