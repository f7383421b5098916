import type { AccountId, KeyId, MicroTokens } from "@codex/kernel";

/** Micro-tokens in a UTC day, a UTC month, and ever; null = no limit in this window. */
export interface KeyCaps {
  readonly daily: MicroTokens | null;
  readonly monthly: MicroTokens | null;
  readonly total: MicroTokens | null;
}

/** Within the operator's ceiling; null = the ceiling. */
export interface KeyLimits {
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  readonly concurrentRequests: number | null;
}

/** What the owner may set of a key. */
export interface KeySettings {
  /** Null = none; never an object of nulls. */
  readonly caps: KeyCaps | null;
  /** Null = the operator's; never an object of nulls. */
  readonly limits: KeyLimits | null;
  /** Null = every model. */
  readonly models: readonly string[] | null;
  /** Addresses and CIDR ranges; null = from everywhere. */
  readonly allowedIps: readonly string[] | null;
}

export interface StoredKey extends KeySettings {
  readonly keyId: KeyId;
  readonly accountId: AccountId;
  readonly name: string;
  readonly displayPrefix: string;
  readonly hash: string;
  readonly status: "active" | "revoked";
  readonly version: number;
  readonly expiresAt: Date | null;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
}

export interface NewKey extends KeySettings {
  readonly keyId: KeyId;
  readonly accountId: AccountId;
  readonly name: string;
  readonly displayPrefix: string;
  readonly hash: string;
}

export interface KeyStore {
  /** Stores the key and its `key.changed` event together. Undefined when the account has `keysMax` active keys already. */
  create(key: NewKey, keysMax: number): Promise<StoredKey | undefined>;
  /** Newest first, at most `limit`. */
  list(accountId: AccountId, limit: number): Promise<readonly StoredKey[]>;
  /** Idempotent: a revoked key is returned as it is. Undefined when the account has no such key. */
  revoke(accountId: AccountId, keyId: KeyId): Promise<StoredKey | undefined>;
  /**
   * Stores the settings that are given, and the `key.changed` event; the same settings change nothing. Undefined when the
   * account has no such key, or it is revoked.
   */
  change(accountId: AccountId, keyId: KeyId, settings: Partial<KeySettings>): Promise<StoredKey | undefined>;
  findByHash(hash: string): Promise<StoredKey | undefined>;
  /** Every revoked key, in pages by id, for repairing the bucket of tombstones. */
  revokedAfter(keyId: KeyId | undefined, limit: number): Promise<readonly StoredKey[]>;
}

/** Brings a revocation to every gateway at once, beside the event that travels by the outbox. */
export interface Tombstones {
  /** Makes the bucket again when it is gone, as after the loss of a server's disk. Idempotent. */
  restore(): Promise<void>;
  put(key: StoredKey): Promise<void>;
  has(hash: string): Promise<boolean>;
}
