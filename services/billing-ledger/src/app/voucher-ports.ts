import type { Bucket } from "@codex/contracts";
import type { AccountId, MicroTokens, TransferId, VoucherBatchId } from "@codex/kernel";

/** What vouchers need from the outside. */

export interface VoucherBatch {
  readonly batchId: VoucherBatchId;
  readonly bucket: Bucket;
  readonly amount: MicroTokens;
  readonly total: number;
  readonly redeemed: number;
  readonly maxPerAccount: number;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  /** Above the limit of its maker: no code is paid before another operator has approved it. */
  readonly approvalNeeded: boolean;
  readonly approvedBy: AccountId | null;
  readonly approvedAt: Date | null;
  readonly note: string;
  readonly createdBy: AccountId;
  readonly createdAt: Date;
}

export interface NewVoucherBatch {
  readonly batchId: VoucherBatchId;
  readonly actor: AccountId;
  readonly bucket: Bucket;
  readonly amount: MicroTokens;
  readonly maxPerAccount: number;
  readonly expiresAt: Date | null;
  readonly note: string;
  readonly reason: string;
  /** What one operator may give away alone within 24 hours, all batches together. */
  readonly fourEyesAbove: MicroTokens;
  /** SHA-256 of each code. */
  readonly codeHashes: readonly Uint8Array[];
}

/** Key and input hash of a command; see the money machine. */
export interface CommandKey {
  readonly key: string;
  readonly inputHash: Uint8Array;
}

/** `batchId` of a replay is that of the first answer. */
export type BatchOutcome<Done extends string> =
  { readonly outcome: Done | "replayed"; readonly batchId: VoucherBatchId } | { readonly outcome: "conflict" };

export interface RedeemAsk {
  readonly accountId: AccountId;
  readonly codeHash: Uint8Array;
  readonly transferId: TransferId;
  readonly triesMax: number;
  readonly windowSeconds: number;
}

export type RedeemOutcome =
  | {
      readonly outcome: "redeemed" | "replayed";
      readonly transferId: TransferId;
      readonly bucket: Bucket;
      readonly amount: MicroTokens;
    }
  | { readonly outcome: "invalid" | "limit_reached" }
  | { readonly outcome: "throttled"; readonly retryAfterSeconds: number };

export interface VoucherStore {
  create(command: CommandKey, batch: NewVoucherBatch): Promise<BatchOutcome<"created">>;
  revoke(
    command: CommandKey,
    batch: { readonly batchId: VoucherBatchId; readonly actor: AccountId; readonly reason: string },
  ): Promise<BatchOutcome<"revoked"> | { readonly outcome: "not_found" | "already_revoked" }>;
  /** `own_batch`: the maker may not. `already_approved`: also where none is needed. */
  approve(
    command: CommandKey,
    batch: { readonly batchId: VoucherBatchId; readonly actor: AccountId; readonly reason: string },
  ): Promise<
    BatchOutcome<"approved"> | { readonly outcome: "not_found" | "own_batch" | "already_revoked" | "already_approved" }
  >;
  find(batchId: VoucherBatchId): Promise<VoucherBatch | undefined>;
  /** Newest first; at most `limit`. */
  list(limit: number, before: VoucherBatchId | undefined): Promise<readonly VoucherBatch[]>;
  /** One transaction: the try is counted, the voucher taken, the money moved, `balance.changed` said. */
  redeem(ask: RedeemAsk): Promise<RedeemOutcome>;
}

export interface VoucherEvents {
  voucherTried(outcome: RedeemOutcome["outcome"]): void;
  voucherBatchChanged(act: "created" | "revoked" | "approved", batchId: VoucherBatchId): void;
}
