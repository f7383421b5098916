import type { AccountId, Clock, SessionId } from "@codex/kernel";
import type { SessionRole } from "../domain/session-rules.ts";

export interface StoredAccount {
  readonly accountId: AccountId;
  readonly email: string;
  readonly name: string | null;
  readonly role: SessionRole;
  readonly passwordHash: string;
  readonly createdAt: Date;
}

export interface StoredSession {
  readonly sessionId: SessionId;
  readonly accountId: AccountId;
  readonly role: SessionRole;
  readonly createdAt: Date;
  readonly lastSeenAt: Date;
  readonly endedAt: Date | null;
}

export interface AccountStore {
  /** Stores the account and its `account.registered` event together. False when the address is taken. */
  create(account: StoredAccount): Promise<boolean>;
  findByEmail(email: string): Promise<StoredAccount | undefined>;
  findById(accountId: AccountId): Promise<StoredAccount | undefined>;
  setPasswordHash(accountId: AccountId, from: string, to: string): Promise<void>;
  /** Sets the role and ends every session of the account. False when there is no such address. */
  setRole(email: string, role: SessionRole): Promise<boolean>;
}

export interface SessionStore {
  create(sessionId: SessionId, accountId: AccountId, now: Date): Promise<void>;
  find(sessionId: SessionId): Promise<StoredSession | undefined>;
  seen(sessionId: SessionId, now: Date): Promise<void>;
  /** Idempotent. */
  end(sessionId: SessionId, now: Date): Promise<void>;
}

export interface PasswordHasher {
  /** Rejects with AppError `overloaded` when too many wait. */
  hash(password: string): Promise<string>;
  /** `undefined` stands for an unknown account: the same work is done, the answer is always false. */
  verify(password: string, hash: string | undefined): Promise<boolean>;
  needsUpgrade(hash: string): boolean;
}

/**
 * Counts sign-ins before any hashing is done. An attempt counts as failed from the start, in one step with the check, so
 * that many at once get no more tries than one after the other.
 */
export interface SignInThrottle {
  /** Rejects with AppError `too_many_attempts` and `retry-after`. */
  admit(email: string, clientIp: string): Promise<void>;
  /** Forgets the failures of the account from this address, and this attempt. */
  succeeded(email: string, clientIp: string): Promise<void>;
  /** Forgets this attempt: the password was not looked at. */
  unjudged(email: string, clientIp: string): Promise<void>;
}

export interface AuthPorts {
  readonly accounts: AccountStore;
  readonly sessions: SessionStore;
  readonly hasher: PasswordHasher;
  readonly throttle: SignInThrottle;
  readonly clock: Clock;
}
