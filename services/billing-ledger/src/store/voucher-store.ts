import { usagePartitionOf, type Bucket } from "@codex/contracts";
import { insertOutbox, type Db } from "@codex/db";
import { idToUuid, uuidToId, type VoucherBatchId } from "@codex/kernel";
import { sql, type RawBuilder } from "kysely";
import type { RedeemAsk, RedeemOutcome, VoucherBatch, VoucherStore } from "../app/voucher-ports.ts";
import type { EncodeBalanceChanged } from "./ledger-store.ts";
import { fromDbBalanceJson, type BalanceJson } from "./money-json.ts";
import type { Tables } from "./schema.ts";

interface CommandAnswer {
  outcome: string;
  result?: { batch_id: string };
}

interface RedeemAnswer {
  outcome: RedeemOutcome["outcome"];
  retry_after?: number;
  transfer_id?: string;
  bucket?: Bucket;
  amount?: string;
  balance?: BalanceJson | null;
}

interface BatchRow {
  id: string;
  bucket: Bucket;
  amount: bigint;
  total: number;
  redeemed: number;
  max_per_account: number;
  expires_at: Date | null;
  revoked_at: Date | null;
  note: string;
  created_by: string;
  created_at: Date;
  approval_needed: boolean;
  approved_by: string | null;
  approved_at: Date | null;
}

const batches = sql`
  select b.id, b.bucket, b.amount, b.total, b.max_per_account, b.expires_at, b.revoked_at, b.note, b.created_by, b.created_at,
    b.approval_needed, b.approved_by, b.approved_at,
    (select count(v.redeemed_by)::integer from voucher v where v.batch_id = b.id) as redeemed
  from voucher_batch b`;

export function createVoucherStore(db: Db<Tables>, encode: EncodeBalanceChanged): VoucherStore {
  const ask = async (call: RawBuilder<unknown>): Promise<CommandAnswer> => {
    const { rows } = await sql<{ answer: CommandAnswer }>`select ${call} as answer`.execute(db.kysely);
    const answer = rows[0]?.answer;
    if (!answer) throw new Error("a command on vouchers answered nothing");
    return answer;
  };
  return {
    create: async ({ key, inputHash }, batch) => {
      const answer = await ask(sql`create_voucher_batch(
        ${key}, ${Buffer.from(inputHash)}::bytea, ${idToUuid(batch.batchId)}::uuid, ${idToUuid(batch.actor)}::uuid,
        ${batch.bucket}, ${batch.amount}::bigint, ${batch.maxPerAccount}::integer, ${batch.expiresAt}::timestamptz,
        ${batch.note}, ${batch.reason}, ${batch.codeHashes.map((hash) => Buffer.from(hash))}::bytea[],
        ${batch.fourEyesAbove}::bigint)`);
      return done(answer, "created") ?? { outcome: "conflict" };
    },
    revoke: async ({ key, inputHash }, { batchId, actor, reason }) => {
      const answer = await ask(sql`revoke_voucher_batch(
        ${key}, ${Buffer.from(inputHash)}::bytea, ${idToUuid(batchId)}::uuid, ${idToUuid(actor)}::uuid, ${reason})`);
      if (answer.outcome === "not_found" || answer.outcome === "already_revoked") return { outcome: answer.outcome };
      return done(answer, "revoked") ?? { outcome: "conflict" };
    },
    approve: async ({ key, inputHash }, { batchId, actor, reason }) => {
      const answer = await ask(sql`approve_voucher_batch(
        ${key}, ${Buffer.from(inputHash)}::bytea, ${idToUuid(batchId)}::uuid, ${idToUuid(actor)}::uuid, ${reason})`);
      switch (answer.outcome) {
        case "not_found":
        case "own_batch":
        case "already_revoked":
        case "already_approved":
          return { outcome: answer.outcome };
        default:
          return done(answer, "approved") ?? { outcome: "conflict" };
      }
    },
    find: async (batchId) => {
      const { rows } = await sql<BatchRow>`${batches} where b.id = ${idToUuid(batchId)}`.execute(db.kysely);
      return rows[0] && fromDbBatch(rows[0]);
    },
    list: async (limit, before) => {
      const older = before === undefined ? sql`` : sql`where b.id < ${idToUuid(before)}::uuid`;
      const { rows } = await sql<BatchRow>`${batches} ${older} order by b.id desc limit ${limit}`.execute(db.kysely);
      return rows.map(fromDbBatch);
    },
    redeem: (asked) => redeem(db, encode, asked),
  };
}

function done<Done extends string>(
  { outcome, result }: CommandAnswer,
  name: Done,
): { outcome: Done | "replayed"; batchId: VoucherBatchId } | undefined {
  if (outcome === "conflict") return undefined;
  if ((outcome !== name && outcome !== "replayed") || !result) throw new Error("a command on vouchers has no result");
  return { outcome: outcome === "replayed" ? "replayed" : name, batchId: uuidToId("vcb", result.batch_id) };
}

async function redeem(db: Db<Tables>, encode: EncodeBalanceChanged, ask: RedeemAsk): Promise<RedeemOutcome> {
  return db.transaction(async (trx) => {
    const { rows } = await sql<{ answer: RedeemAnswer }>`
      select redeem_voucher(${idToUuid(ask.accountId)}::uuid, ${Buffer.from(ask.codeHash)}::bytea,
        ${idToUuid(ask.transferId)}::uuid, ${usagePartitionOf(ask.accountId)}::smallint, ${ask.triesMax}::integer,
        ${ask.windowSeconds}::integer) as answer`.execute(trx);
    const answer = rows[0]?.answer;
    if (!answer) throw new Error("redeem_voucher answered nothing");
    if (answer.balance) await insertOutbox(trx, [encode(fromDbBalanceJson(ask.accountId, answer.balance))]);
    return fromDbRedeemed(answer);
  });
}

function fromDbRedeemed(answer: RedeemAnswer): RedeemOutcome {
  const { outcome } = answer;
  if (outcome === "throttled") return { outcome, retryAfterSeconds: answer.retry_after ?? 1 };
  if (outcome === "invalid" || outcome === "limit_reached") return { outcome };
  const { transfer_id: transferId, bucket, amount } = answer;
  if (transferId === undefined || !bucket || amount === undefined)
    throw new Error("a redeemed voucher has no transfer");
  return { outcome, transferId: uuidToId("trf", transferId), bucket, amount: BigInt(amount) };
}

function fromDbBatch(row: BatchRow): VoucherBatch {
  return {
    batchId: uuidToId("vcb", row.id),
    bucket: row.bucket,
    amount: row.amount,
    total: row.total,
    redeemed: row.redeemed,
    maxPerAccount: row.max_per_account,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    note: row.note,
    createdBy: uuidToId("acc", row.created_by),
    createdAt: row.created_at,
    approvalNeeded: row.approval_needed,
    approvedBy: row.approved_by === null ? null : uuidToId("acc", row.approved_by),
    approvedAt: row.approved_at,
  };
}
