import { usagePartitionOf } from "@codex/contracts";
import type { Db } from "@codex/db";
import { idToUuid, uuidToId, type AccountId, type DisputeId } from "@codex/kernel";
import { sql, type Selectable } from "kysely";
import type { Dispute, DisputeEvent, DisputeStore, QueueQuery } from "../app/dispute-ports.ts";
import type { Page } from "../app/operations-ports.ts";
import { fromDbRefundedOrProposed, needed, runCommand, type DbResult } from "./command-answer.ts";
import type { EncodeBalanceChanged } from "./ledger-store.ts";
import { toCount } from "./mapping.ts";
import type { DisputeEventTable, DisputeTable } from "./operation-tables.ts";
import { askOf, keyOf, pageOf } from "./operations-store.ts";
import type { Tables } from "./schema.ts";

export function createDisputeStore(db: Db<Tables>, encode: EncodeBalanceChanged): DisputeStore {
  return {
    open: (command, ask) =>
      runCommand(
        db,
        encode,
        sql`open_dispute(${keyOf(command)}, ${idToUuid(ask.disputeId)}::uuid, ${idToUuid(ask.accountId)}::uuid,
          ${usagePartitionOf(ask.accountId)}::smallint, ${idToUuid(ask.requestId)}::uuid, ${ask.reason}, ${ask.text},
          ${ask.windowDays}::integer, ${ask.dueDays}::integer, ${ask.openMax}::integer)`,
        fromDbDisputeId,
      ),
    withdraw: (command, accountId, disputeId) =>
      runCommand(
        db,
        encode,
        sql`withdraw_dispute(${keyOf(command)}, ${idToUuid(accountId)}::uuid, ${idToUuid(disputeId)}::uuid)`,
        fromDbDisputeId,
      ),
    reply: (command, accountId, { disputeId, text, repliesMax }) =>
      runCommand(
        db,
        encode,
        sql`reply_dispute(${keyOf(command)}, ${idToUuid(accountId)}::uuid, ${idToUuid(disputeId)}::uuid, ${text},
          ${repliesMax}::integer)`,
        fromDbDisputeId,
      ),
    assign: (command, ask) =>
      runCommand(
        db,
        encode,
        sql`assign_dispute(${keyOf(command)}, ${idToUuid(ask.actor)}::uuid, ${idToUuid(ask.disputeId)}::uuid,
          ${ask.assignee === null ? null : idToUuid(ask.assignee)}::uuid, ${ask.takeOver}::boolean)`,
        fromDbDisputeId,
      ),
    message: (command, actor, disputeId, text) =>
      runCommand(
        db,
        encode,
        sql`message_dispute(${keyOf(command)}, ${idToUuid(actor)}::uuid, ${idToUuid(disputeId)}::uuid, ${text})`,
        fromDbDisputeId,
      ),
    resolve: (command, ask) =>
      runCommand(
        db,
        encode,
        sql`resolve_dispute(${keyOf(command)}, ${idToUuid(ask.actor)}::uuid, ${idToUuid(ask.disputeId)}::uuid, ${ask.outcome},
          ${ask.amount}::bigint, ${askOf(ask)})`,
        (result) =>
          // Of a rejection the stored result names the dispute and nothing else.
          result.dispute_id === undefined ? fromDbRefundedOrProposed(result) : { outcome: "rejected" },
      ),
    find: (disputeId, accountId) => findDispute(db, disputeId, accountId),
    events: (disputeId) => readEvents(db, disputeId),
    ofAccount: (accountId, limit, before) => readOwn(db, accountId, limit, before),
    queue: (query) => readQueue(db, query),
    waiting: (now) => countWaiting(db, now),
  };
}

function fromDbDisputeId(result: DbResult): DisputeId {
  return uuidToId("dsp", needed(result.dispute_id));
}

async function findDispute(
  db: Db<Tables>,
  disputeId: DisputeId,
  accountId: AccountId | undefined,
): Promise<Dispute | undefined> {
  let query = db.kysely.selectFrom("dispute").selectAll().where("id", "=", idToUuid(disputeId));
  if (accountId !== undefined) query = query.where("account_id", "=", idToUuid(accountId));
  const row = await query.executeTakeFirst();
  return row ? fromDbDispute(row) : undefined;
}

async function readEvents(db: Db<Tables>, disputeId: DisputeId): Promise<DisputeEvent[]> {
  const rows = await db.kysely
    .selectFrom("dispute_event")
    .selectAll()
    .where("dispute_id", "=", idToUuid(disputeId))
    .orderBy("number")
    .limit(eventsMax)
    .execute();
  return rows.map(fromDbEvent);
}

/** Of one dispute; what two operators and a user write is far below. */
const eventsMax = 1_000;

async function readOwn(
  db: Db<Tables>,
  accountId: AccountId,
  limit: number,
  before: DisputeId | undefined,
): Promise<Page<Dispute>> {
  let query = db.kysely
    .selectFrom("dispute")
    .selectAll()
    .where("account_id", "=", idToUuid(accountId))
    .orderBy("id", "desc")
    .limit(limit + 1);
  if (before !== undefined) query = query.where("id", "<", idToUuid(before));
  return pageOf(await query.execute(), limit, fromDbDispute);
}

async function readQueue(db: Db<Tables>, { state, assignee, limit, after }: QueueQuery): Promise<Page<Dispute>> {
  let query = db.kysely
    .selectFrom("dispute")
    .selectAll()
    .where("state", "=", state)
    .orderBy("due_at")
    .orderBy("id")
    .limit(limit + 1);
  if (assignee === null) query = query.where("assignee", "is", null);
  else if (assignee !== undefined) query = query.where("assignee", "=", idToUuid(assignee));
  if (after) {
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(refTuple("due_at", "id"), ">", tuple(after.dueAt, idToUuid(after.disputeId))),
    );
  }
  return pageOf(await query.execute(), limit, fromDbDispute);
}

async function countWaiting(db: Db<Tables>, now: Date): Promise<{ open: number; overdue: number }> {
  const { rows } = await sql<{ open: bigint; overdue: bigint }>`
    select count(*) as open, count(*) filter (where due_at < ${now}) as overdue from dispute where state = 'open'`.execute(
    db.kysely,
  );
  return { open: toCount(rows[0]?.open ?? 0n), overdue: toCount(rows[0]?.overdue ?? 0n) };
}

function fromDbDispute(row: Selectable<DisputeTable>): Dispute {
  return {
    disputeId: uuidToId("dsp", row.id),
    accountId: uuidToId("acc", row.account_id),
    requestId: uuidToId("req", row.request_id),
    reason: row.reason,
    state: row.state,
    assigneeId: row.assignee === null ? null : uuidToId("acc", row.assignee),
    refunded: row.refunded,
    transferId: row.transfer_id === null ? null : uuidToId("trf", row.transfer_id),
    openedAt: row.opened_at,
    dueAt: row.due_at,
    resolvedAt: row.resolved_at,
  };
}

function fromDbEvent(row: Selectable<DisputeEventTable>): DisputeEvent {
  return {
    kind: row.kind,
    by: row.by_kind,
    actorId: row.actor === null ? null : uuidToId("acc", row.actor),
    text: row.text,
    amount: row.amount,
    at: row.at,
  };
}
