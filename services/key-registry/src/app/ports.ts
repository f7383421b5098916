import type { KeyClient } from "@codex/contracts";
import type { AccountId, KeyEnvironment, KeyId, MicroTokens } from "@codex/kernel";

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
  readonly name: string;
  /** The owner's own words; each once. */
  readonly tags: readonly string[];
  /** Null = none; never an object of nulls. */
  readonly caps: KeyCaps | null;
  /** Null = the operator's; never an object of nulls. */
  readonly limits: KeyLimits | null;
  /** Null = every model. */
  readonly models: readonly string[] | null;
  /** Addresses and CIDR ranges; null = from everywhere. */
  readonly allowedIps: readonly string[] | null;
  /** From then on the key is refused; null = never. */
  readonly expiresAt: Date | null;
}

/** What a key is from its first to its last day. */
export interface KeyIdentity {
  readonly keyId: KeyId;
  readonly accountId: AccountId;
  readonly environment: KeyEnvironment;
  readonly displayPrefix: string;
  /** SHA-256 of the full key, lower-case hex. */
  readonly hash: string;
}

export interface StoredKey extends KeyIdentity, KeySettings {
  readonly status: "active" | "revoked";
  readonly version: number;
  /** The beginning of the hour; null = never used. */
  readonly lastUsedAt: Date | null;
  readonly lastUsedClient: KeyClient | null;
  /** The key that took this one's place. */
  readonly replacedBy: KeyId | null;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
}

export type NewKey = KeyIdentity & KeySettings;

/** A key was seen in use within this hour. */
export interface KeyUse {
  readonly keyId: KeyId;
  readonly hour: Date;
  readonly client: KeyClient;
}

/** `replaced`: it has a successor already, so it cannot be rolled again. `too_many`: the account has all the keys it may have. */
export type Rolled =
  | { readonly ok: true; readonly key: StoredKey; readonly previous: StoredKey }
  | { readonly ok: false; readonly refusal: "not_found" | "replaced" | "too_many" };

export interface KeyStore {
  /**
   * Stores the key and its `key.changed` event together. Undefined when the account has `keysMax` keys that are good,
   * beside those that were rolled and run out.
   */
  create(key: NewKey, keysMax: number): Promise<StoredKey | undefined>;
  /** Newest first, at most `limit`. */
  list(accountId: AccountId, limit: number): Promise<readonly StoredKey[]>;
  /**
   * One transaction, and one event a key. Idempotent: a revoked key is returned as it is. What the account does not have is
   * not in the answer.
   */
  revoke(accountId: AccountId, keyIds: readonly KeyId[]): Promise<readonly StoredKey[]>;
  /**
   * In one transaction: a new key with the settings of the old one, which ends at `until`, or is revoked when that is
   * undefined; an end that it has already and that is earlier stays.
   */
  roll(
    accountId: AccountId,
    keyId: KeyId,
    successor: Pick<KeyIdentity, "keyId" | "displayPrefix" | "hash">,
    until: Date | undefined,
    keysMax: number,
  ): Promise<Rolled>;
  /** Undefined when the account has no such key, or it is revoked. */
  find(accountId: AccountId, keyId: KeyId): Promise<StoredKey | undefined>;
  /** Keeps the latest hour of each; older ones and keys that are not there change nothing. No event: gateways need none. */
  used(uses: readonly KeyUse[]): Promise<void>;
  /**
   * Stores the settings that are given, and the `key.changed` event; the same settings change nothing. Undefined when the
   * account has no such key, or it is revoked, or it was rolled.
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
