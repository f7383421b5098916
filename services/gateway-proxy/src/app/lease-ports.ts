import type { AccountId, Clock, KeyId, LeaseId, MicroTokens, Result } from "@codex/kernel";

/** What a key may spend in a UTC day, a UTC month, and ever; null = no limit in this window. */
export interface KeyCaps {
  readonly daily: MicroTokens | null;
  readonly monthly: MicroTokens | null;
  readonly total: MicroTokens | null;
}

/** Who pays for a request. */
export interface Payer {
  readonly accountId: AccountId;
  readonly keyId: KeyId;
  /** Null = the key has no caps, and its account's leases serve it. */
  readonly caps: KeyCaps | null;
  /** Grows with each change of the key. */
  readonly version: number;
}

export interface Grant {
  readonly leaseId: LeaseId;
  readonly granted: MicroTokens;
  readonly ttlMs: number;
  readonly priceGroup: string;
}

export interface Refusal {
  readonly available: MicroTokens;
  readonly held: MicroTokens;
  /** The cap that is in the way; absent when it is the balance. */
  readonly cap?: {
    readonly period: "day" | "month" | "total";
    readonly amount: MicroTokens;
    readonly resetsAt: Date | null;
  };
}

export interface GrantAsk {
  readonly requestNo: number;
  readonly accountId: AccountId;
  readonly minimum: MicroTokens;
  readonly want: MicroTokens;
  readonly cap: ({ readonly keyId: KeyId } & KeyCaps) | null;
}

export type GrantAnswer = Result<Grant, "insufficient_balance" | "account_frozen" | "key_cap_reached"> & {
  readonly refusal?: Refusal;
};

export interface LenderPorts {
  /** Idempotent by `requestNo`. Rejects with AppError `unavailable` when billing does not answer. */
  grant(ask: GrantAsk): Promise<GrantAnswer>;
  /** Writes the ask to the spool before it is sent, so that a kill in between leaves a trace; throws when the disk refuses. */
  asked(requestNo: number, accountId: AccountId): void;
  /** The ask was refused: nothing can be held under its number. */
  refused(requestNo: number): void;
  /** Writes the lease, which answers the ask, to the spool; throws when the disk refuses. */
  leaseGranted(leaseId: LeaseId, accountId: AccountId, requestNo: number): void;
  leaseClosed(leaseId: LeaseId, accountId: AccountId): void;
  /** Lowers leases to ceilings at billing. Idempotent; rejects when billing does not answer, which is harmless. */
  giveBack(
    accountId: AccountId,
    leases: readonly { readonly leaseId: LeaseId; readonly ceiling: MicroTokens }[],
  ): Promise<void>;
  readonly clock: Clock;
}
