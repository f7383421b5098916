import { createHash, randomBytes } from "node:crypto";
import type { Bucket } from "@codex/contracts";
import { newId, type AccountId, type MicroTokens, type VoucherBatchId } from "@codex/kernel";
import { voucherCodeBytes, voucherCodeOf } from "../domain/voucher-code.ts";
import { codeHashOf } from "./redeem-voucher.ts";
import type { CommandKey, VoucherBatch, VoucherEvents, VoucherStore } from "./voucher-ports.ts";

export interface VoucherBatchAsk {
  readonly actor: AccountId;
  readonly idempotencyKey: string;
  readonly count: number;
  readonly amount: MicroTokens;
  readonly bucket: Bucket;
  readonly expiresAt: Date | null;
  readonly maxPerAccount: number;
  readonly note: string;
  readonly reason: string;
}

interface BatchAct {
  readonly actor: AccountId;
  readonly idempotencyKey: string;
  readonly batchId: VoucherBatchId;
  readonly reason: string;
}

interface Deps {
  readonly vouchers: VoucherStore;
  readonly events: VoucherEvents;
}

function commandOf(act: string, actor: AccountId, idempotencyKey: string, input: readonly unknown[]): CommandKey {
  return {
    key: `${act}:${actor}:${idempotencyKey}`,
    inputHash: createHash("sha256").update(JSON.stringify(input)).digest(),
  };
}

/**
 * Makes a batch once a key and answers its codes, which exist nowhere afterwards. A repeat of the same command answers the batch
 * without codes: whoever lost the first answer revokes the batch and makes another. `conflict`: the key was used for other input.
 * Above the limit of one operator the codes are worth nothing until {@link approveVoucherBatch}.
 */
export async function createVoucherBatch(
  { vouchers, events, fourEyesAbove }: Deps & { readonly fourEyesAbove: MicroTokens },
  ask: VoucherBatchAsk,
): Promise<{ readonly batch: VoucherBatch; readonly codes: readonly string[] | null } | "conflict"> {
  const { actor, idempotencyKey, count, expiresAt, ...rest } = ask;
  const codes = Array.from({ length: count }, () => voucherCodeOf(randomBytes(voucherCodeBytes)));
  const input = [count, rest.amount.toString(), rest.bucket, expiresAt?.toISOString() ?? null];
  const outcome = await vouchers.create(
    commandOf("voucher-batch", actor, idempotencyKey, [...input, rest.maxPerAccount, rest.note, rest.reason]),
    { ...rest, actor, expiresAt, fourEyesAbove, batchId: newId("vcb"), codeHashes: codes.map(codeHashOf) },
  );
  if (outcome.outcome === "conflict") return "conflict";
  const batch = await known(vouchers, outcome.batchId);
  if (outcome.outcome === "replayed") return { batch, codes: null };
  events.voucherBatchChanged("created", outcome.batchId);
  return { batch, codes };
}

/** From its answer on no code of the batch is paid any more; what was redeemed stays with who has it. */
export async function revokeVoucherBatch(
  { vouchers, events }: Deps,
  ask: BatchAct,
): Promise<VoucherBatch | "conflict" | "not_found" | "already_revoked"> {
  const command = commandOf("voucher-revoke", ask.actor, ask.idempotencyKey, [ask.batchId, ask.reason]);
  const outcome = await vouchers.revoke(command, ask);
  if (!("batchId" in outcome)) return outcome.outcome;
  if (outcome.outcome === "revoked") events.voucherBatchChanged("revoked", outcome.batchId);
  return known(vouchers, outcome.batchId);
}

/** The second pair of eyes: from its answer on the codes are paid. Never the maker. */
export async function approveVoucherBatch(
  { vouchers, events }: Deps,
  ask: BatchAct,
): Promise<VoucherBatch | "conflict" | "not_found" | "own_batch" | "already_revoked" | "already_approved"> {
  const command = commandOf("voucher-approve", ask.actor, ask.idempotencyKey, [ask.batchId, ask.reason]);
  const outcome = await vouchers.approve(command, ask);
  if (!("batchId" in outcome)) return outcome.outcome;
  if (outcome.outcome === "approved") events.voucherBatchChanged("approved", outcome.batchId);
  return known(vouchers, outcome.batchId);
}

async function known(vouchers: VoucherStore, batchId: VoucherBatchId): Promise<VoucherBatch> {
  const batch = await vouchers.find(batchId);
  if (!batch) throw new Error("a batch of vouchers has gone");
  return batch;
}
