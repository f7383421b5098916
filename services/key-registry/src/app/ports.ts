import type { AccountId, KeyId } from "@codex/kernel";

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
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
}

export interface NewKey {
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
