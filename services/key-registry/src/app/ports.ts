import type { KeyClient, KeyReportVia } from "@codex/contracts";
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

/** A key as it is kept for being shown again, sealed by its account's data key; see store/key-vault.ts. */
export interface SealedApiKey {
  readonly sealedSecret: string;
  readonly dataKeyId: string;
}

export interface StoredKey extends KeyIdentity, KeySettings {
  /** Null where repeat display is off, and once the key is revoked. */
  readonly sealed: SealedApiKey | null;
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

export type NewKey = KeyIdentity & KeySettings & Pick<StoredKey, "sealed">;

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

/** `not_kept`: the key was made while repeat display was off. `too_often`: with the seconds until it may be shown. */
export type Showing =
  | { readonly ok: true; readonly sealed: SealedApiKey }
  | { readonly ok: false; readonly refusal: "not_found" | "not_kept" }
  | { readonly ok: false; readonly refusal: "too_often"; readonly retryAfterSeconds: number };

/** Where keys are kept that may be shown again (SEC-41). Absent: repeat display is off, and nothing is kept. */
export interface KeyVault {
  /** Makes the account's data key when it has none. */
  seal(accountId: AccountId, keyId: KeyId, secret: string): Promise<SealedApiKey>;
  /** Throws when the envelope was altered, belongs to another key or account, or its master key is not here. */
  open(accountId: AccountId, keyId: KeyId, sealed: SealedApiKey): Promise<string>;
  /** Brings every data key under the present master key; reads no API key. Idempotent. Answers how many were changed. */
  rewrap(): Promise<number>;
}

/** Somebody showed that a key is known to others. */
export interface KeyReport {
  /** SHA-256 of the full key, lower-case hex. */
  readonly hash: string;
  readonly via: KeyReportVia;
  /** Where it was found; null unless the reporter's signature vouches for it. */
  readonly foundAt: string | null;
}

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
    successor: Pick<NewKey, "keyId" | "displayPrefix" | "hash" | "sealed">,
    until: Date | undefined,
    keysMax: number,
  ): Promise<Rolled>;
  /** Undefined when the account has no such key, or it is revoked. */
  find(accountId: AccountId, keyId: KeyId): Promise<StoredKey | undefined>;
  /**
   * Revokes the key of a report, and says so in the log and by an event, all together. Undefined when there is no such key, or it
   * is revoked already.
   */
  report(report: KeyReport): Promise<StoredKey | undefined>;
  /**
   * Writes that the owner saw the key, and answers it as it is kept; in one transaction, so that at most `timesMax` an account in
   * an hour are answered, whoever asks at once.
   */
  takeShowing(accountId: AccountId, keyId: KeyId, timesMax: number): Promise<Showing>;
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
