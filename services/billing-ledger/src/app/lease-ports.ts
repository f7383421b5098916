import type { AccountId, KeyId, LeaseId, MicroTokens } from "@codex/kernel";
import type { Balance } from "./ports.ts";

/** What the life of a lease needs from the outside. Amounts are micro-tokens. */

export interface KeyCap {
  readonly keyId: KeyId;
  /** Null = no limit in this window. Days and months are UTC. */
  readonly daily: MicroTokens | null;
  readonly monthly: MicroTokens | null;
  readonly total: MicroTokens | null;
}

export interface GrantAsk {
  readonly leaseId: LeaseId;
  readonly epoch: number;
  readonly requestNo: number;
  readonly accountId: AccountId;
  readonly minimum: MicroTokens;
  readonly want: MicroTokens;
  readonly ttlMs: number;
  /** Null = the key has no caps, or is not known to have any. */
  readonly cap: KeyCap | null;
}

export type GrantOutcome =
  | {
      readonly outcome: "granted";
      readonly leaseId: LeaseId;
      readonly granted: MicroTokens;
      readonly ttlMs: number;
      readonly priceGroup: string;
    }
  | {
      readonly outcome: "insufficient_balance" | "account_frozen";
      readonly available: MicroTokens;
      readonly held: MicroTokens;
    }
  | {
      readonly outcome: "key_cap_reached";
      /** Left of the tightest cap, and what leases of the key hold of it. */
      readonly available: MicroTokens;
      readonly held: MicroTokens;
      readonly period: "day" | "month" | "total";
      readonly cap: MicroTokens;
      readonly resetsAt: Date | null;
    };

export interface LeaseCeiling {
  readonly leaseId: LeaseId;
  readonly ceiling: MicroTokens;
}

export interface Reclaimed extends Balance {
  readonly accountId: AccountId;
  readonly leases: number;
  readonly freed: MicroTokens;
}

export interface IngestPosition {
  readonly partition: number;
  readonly streamCreated: Date;
  readonly floor: number;
}

export interface LeaseStore {
  /** One row lock; idempotent by (epoch, requestNo). Throws `unknown_epoch` for an epoch that was never issued. */
  grant(ask: GrantAsk): Promise<GrantOutcome>;
  /** Epochs with an open lease of the account whose workers have given a sign of life in the last three minutes. */
  holders(accountId: AccountId): Promise<readonly number[]>;
  /** Lowers leases to ceilings; answers what became free. Idempotent, in any order. */
  giveBack(epoch: number, accountId: AccountId, leases: readonly LeaseCeiling[]): Promise<MicroTokens>;
  /** The lease of the number, or undefined, and then the number is burnt. Throws `unknown_epoch`. */
  recover(epoch: number, requestNo: number, accountId: AccountId): Promise<LeaseId | undefined>;
  /** One transaction with `balance.changed` of each account. Nothing when another replica is at it. */
  reclaim(which: { readonly epoch: number } | { readonly unseenForMs: number }): Promise<readonly Reclaimed[]>;
  /** A sign of life; cheap enough for every question of a worker. */
  seen(epoch: number): Promise<void>;
  positions(): Promise<readonly IngestPosition[]>;
}

/** Business telemetry; see events.ts. */
export interface LeaseEvents {
  leasesReturned(freed: MicroTokens): void;
  /** An alarm: a worker was lost, and what it had spooled is gone or will be written off. */
  leasesReclaimed(reclaimed: Reclaimed): void;
  reclaimFailed(error: unknown): void;
}
