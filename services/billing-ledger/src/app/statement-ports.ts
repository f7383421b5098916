import type { Bucket, MovementKind, UsageLine } from "@codex/contracts";
import type { AccountId, MicroTokens, RequestId, TransferId } from "@codex/kernel";
import type { ChainSlice, Position } from "../domain/statement.ts";

/** What statements read. Nothing here writes; entries are append-only, so every answer about the past stays true. */

export interface KindSum {
  readonly kind: MovementKind;
  readonly bucket: Bucket;
  readonly amount: MicroTokens;
  readonly count: number;
}

export interface StatementStore {
  /** How many movements each bucket has now; zeros when the account never had money. */
  heads(accountId: AccountId): Promise<Position>;
  /**
   * How many movements of each bucket, of the first `heads`, count as before `at`. Stable: once all bookings that began before
   * `at` have ended, the answer never changes, so the closing of a period is the opening of the next.
   */
  cut(accountId: AccountId, heads: Position, at: Date): Promise<Position>;
  /** At most `limit` movements of the bucket with floor < version ≤ head, newest first. */
  slice(accountId: AccountId, bucket: Bucket, head: number, floor: number, limit: number): Promise<ChainSlice>;
  /** Sums by kind of the movements with floor < version ≤ head, read in bounded steps. */
  sums(accountId: AccountId, bucket: Bucket, head: number, floor: number): Promise<readonly KindSum[]>;
}

export interface UsagePart {
  readonly lines: readonly UsageLine[];
  readonly next: RequestId | null;
}

export interface UsageExportStore {
  /** Requests with from ≤ start < to, newest first, at most `limit`, older than `before`. */
  between(
    accountId: AccountId,
    from: Date,
    to: Date,
    limit: number,
    before: RequestId | undefined,
  ): Promise<readonly UsageLine[]>;
  /** The requests of the batch that made this movement, newest first. Undefined when it is not a usage movement of the account. */
  ofTransfer(
    accountId: AccountId,
    transferId: TransferId,
    limit: number,
    before: RequestId | undefined,
  ): Promise<UsagePart | undefined>;
}
