import type { AccountId, KeyId, MicroTokens } from "@codex/kernel";

/** Micro-tokens in a UTC day, a UTC month, and ever; null = no limit in this window. */
export interface KeyCaps {
  readonly daily: MicroTokens | null;
  readonly monthly: MicroTokens | null;
  readonly total: MicroTokens | null;
}

export interface StoredKey {
  readonly keyId: KeyId;
  readonly accountId: AccountId;
  readonly name: string;
  readonly displayPrefix: string;
  readonly hash: string;
  readonly status: "active" | "revoked";
  readonly version: number;
  readonly models: readonly string[] | null;
  readonly expiresAt: Date | null;
  /** Null = none; never an object of nulls. */
  readonly caps: KeyCaps | null;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
}

export interface NewKey {
  readonly keyId: KeyId;
  readonly accountId: AccountId;
  readonly name: string;
  readonly displayPrefix: string;
  readonly hash: string;
  readonly caps: KeyCaps | null;
}

export interface KeyStore {
  /** Stores the key and its `key.changed` event together. Undefined when the account has `keysMax` active keys already. */
  create(key: NewKey, keysMax: number): Promise<StoredKey | undefined>;
  /** Newest first, at most `limit`. */
  list(accountId: AccountId, limit: number): Promise<readonly StoredKey[]>;
  /** Idempotent: a revoked key is returned as it is. Undefined when the account has no such key. */
  revoke(accountId: AccountId, keyId: KeyId): Promise<StoredKey | undefined>;
  /** Stores the caps and the `key.changed` event; the same caps change nothing. Undefined when the account has no such key, or it is revoked. */
  setCaps(accountId: AccountId, keyId: KeyId, caps: KeyCaps | null): Promise<StoredKey | undefined>;
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
