import type { AccountId, Clock, SessionId } from "@codex/kernel";
import type { Consent } from "../domain/account.ts";
import type { MailIntent, MailKind, MailLanguage } from "../domain/mail.ts";
import type { SessionFactor, SessionRole } from "../domain/session-rules.ts";
import type { FailureAlarm } from "./failure-alarm.ts";
import type { AccountActs, ChallengeStore, FactorStore, PasskeyCeremonies, TotpCodes } from "./factor-ports.ts";

export interface StoredAccount {
  readonly accountId: AccountId;
  readonly email: string;
  readonly name: string | null;
  readonly role: SessionRole;
  readonly passwordHash: string;
  readonly createdAt: Date;
  readonly language: MailLanguage;
  readonly blockedAt: Date | null;
}

export interface StoredSession {
  readonly sessionId: SessionId;
  readonly accountId: AccountId;
  /** Of the account; what the session may do follows from it and from `factor`. */
  readonly role: SessionRole;
  readonly factor: SessionFactor;
  readonly createdAt: Date;
  readonly lastSeenAt: Date;
  readonly authenticatedAt: Date;
  readonly endedAt: Date | null;
}

export interface NewSession {
  readonly sessionId: SessionId;
  readonly accountId: AccountId;
  readonly factor: SessionFactor;
  readonly now: Date;
}

export interface AccountStore {
  /** Stores the account, what it agreed to and its `account.registered` event together. False when the address is taken. */
  create(account: StoredAccount, consents?: readonly Consent[]): Promise<boolean>;
  findByEmail(email: string): Promise<StoredAccount | undefined>;
  findById(accountId: AccountId): Promise<StoredAccount | undefined>;
  setPasswordHash(accountId: AccountId, from: string, to: string): Promise<void>;
  /** The new password; every session ends and every mailed link dies; `mails` leave. */
  changePassword(accountId: AccountId, hash: string, now: Date, mails: readonly MailIntent[]): Promise<void>;
  setProfile(accountId: AccountId, change: { name?: string | null; language?: MailLanguage }): Promise<void>;
  /** False when the address is taken. `mails` leave with the change. */
  changeEmail(accountId: AccountId, email: string, mails: readonly MailIntent[]): Promise<boolean>;
  consents(accountId: AccountId): Promise<readonly (Consent & { readonly at: Date })[]>;
}

export interface SessionStore {
  create(session: NewSession): Promise<void>;
  /** Ends every other session of the account and begins this one, in one step (SEC-20, SEC-21). */
  replaceAll(session: NewSession): Promise<void>;
  find(sessionId: SessionId): Promise<StoredSession | undefined>;
  /** Live ones, newest first, at most 100. */
  listOf(accountId: AccountId, now: Date): Promise<readonly StoredSession[]>;
  /** Begun in the last 31 days, over or not; those nobody ended first, then by last use, newest first; at most 100. */
  recentOf(accountId: AccountId, now: Date): Promise<readonly StoredSession[]>;
  seen(sessionId: SessionId, now: Date): Promise<void>;
  /** The person proved again who it is (SEC-24). */
  proved(sessionId: SessionId, now: Date): Promise<void>;
  /** Idempotent. */
  end(sessionId: SessionId, now: Date): Promise<void>;
  /** False when there is no such live session of the account. */
  endOf(accountId: AccountId, sessionId: SessionId, now: Date): Promise<boolean>;
  /** All of the account but `except`; answers how many. */
  endAll(accountId: AccountId, except: SessionId | undefined, now: Date): Promise<number>;
}

export interface PasswordHasher {
  /** Rejects with AppError `overloaded` when too many wait. */
  hash(password: string): Promise<string>;
  /** `undefined` stands for an unknown account: the same work is done, the answer is always false. */
  verify(password: string, hash: string | undefined): Promise<boolean>;
  needsUpgrade(hash: string): boolean;
  /** Guesses until an attacker who knows the usual lists and these words has it, as log10 (zxcvbn). */
  strength(password: string, words: readonly string[]): Promise<number>;
}

/** Passwords of known breaches, where an operator has mounted a list. */
export interface BreachedPasswords {
  /** Rejects with AppError `unavailable` when that cannot be found out. */
  has(password: string): Promise<boolean>;
}

export interface Attempt {
  readonly email: string;
  readonly clientIp: string;
  /** Value of the device cookie, whatever it is. */
  readonly device: string | undefined;
}

/**
 * Counts sign-ins before any hashing is done. An attempt counts as failed from the start, in one step with the check, so
 * that many at once get no more tries than one after the other.
 */
export interface SignInThrottle {
  /** Rejects with AppError `too_many_attempts` and `retry-after`, or `sign_in_link_required`. */
  admit(attempt: Attempt): Promise<void>;
  /** Forgets the failures that this attempt was counted under. */
  succeeded(attempt: Attempt): Promise<void>;
  /** Forgets this attempt: the password was not looked at. */
  unjudged(attempt: Attempt): Promise<void>;
  /** A mailed link was used with the right password: the account's count begins anew. */
  unlock(email: string): Promise<void>;
  /** As `admit`, for second factors of the account. */
  admitFactor(accountId: AccountId): Promise<void>;
  factorSucceeded(accountId: AccountId): Promise<void>;
  /** False when this address has had enough mails; rejects with `too_many_attempts` when the client asked for too many. */
  admitMail(email: string, clientIp: string): Promise<boolean>;
  /** Steps that anybody may begin and that take room: challenges. Rejects with `too_many_attempts`. */
  admitAnonymous(clientIp: string): Promise<void>;
  /** The cookie value by which this browser is known for the account from now on (SEC-16). */
  deviceOf(email: string, known: string | undefined): string;
}

export interface Registration {
  readonly email: string;
  readonly name: string | null;
  readonly passwordHash: string;
  readonly language: MailLanguage;
  readonly consents: readonly Consent[];
  readonly invitation: string | undefined;
}

export interface RegistrationStore {
  /** Replaces an earlier one of the address; its mail leaves with it. */
  put(registration: Registration, now: Date): Promise<void>;
  /** The registration of the token, if it has not run out. */
  find(token: string, now: Date): Promise<Registration | undefined>;
  /** Counts a wrong password; the fifth one kills the token. */
  failed(token: string): Promise<void>;
  /** Takes it out, once; false when somebody else did. Uses up its invitation. */
  take(token: string): Promise<boolean>;
  /** The token of a new registration mail; undefined when there is none to confirm. */
  issueToken(email: string): Promise<string | undefined>;
  drop(email: string): Promise<void>;
  invite(email: string, createdBy: AccountId, now: Date): Promise<string>;
  isInvited(token: string, email: string, now: Date): Promise<boolean>;
}

export type LinkPurpose = "reset" | "sign_in" | "email_change";
export interface Link {
  readonly accountId: AccountId;
  readonly email: string | null;
}

export interface LinkStore {
  /** A new token; the one before of the same purpose dies (SEC-27). */
  issue(accountId: AccountId, purpose: LinkPurpose, email: string | null, now: Date): Promise<string>;
  find(token: string, purpose: LinkPurpose, now: Date): Promise<Link | undefined>;
  /** Uses the token up: one caller gets it, once. */
  take(token: string, purpose: LinkPurpose, now: Date): Promise<Link | undefined>;
  /** Counts a wrong password; the fifth one kills the token. */
  failed(token: string): Promise<void>;
}

export interface MailQueue {
  /** Never waits for a mail server. */
  enqueue(mail: MailIntent): Promise<void>;
}

export interface NoticeStore {
  /** Has the owner mailed, once for each event however often it comes; nobody when the account is gone. */
  tell(
    eventId: string,
    accountId: AccountId,
    kind: Extract<MailKind, "key_reported">,
    data: Readonly<Record<string, string>>,
  ): Promise<void>;
}

/** "Firefox, Linux", for the list of sessions. Forgotten after 30 days; a failure loses the name and nothing else. */
export interface DeviceNames {
  put(sessionId: SessionId, userAgent: string | undefined): Promise<void>;
  get(sessionIds: readonly SessionId[]): Promise<readonly (string | null)[]>;
}

export interface AccountRules {
  readonly registration: "open" | "invite" | "closed";
  readonly passwordCharactersMin: number;
  readonly consents: readonly Consent[];
  readonly demoMailbox: boolean;
}

export interface AuthPorts {
  readonly accounts: AccountStore;
  readonly sessions: SessionStore;
  readonly registrations: RegistrationStore;
  readonly links: LinkStore;
  readonly mails: MailQueue;
  readonly devices: DeviceNames;
  readonly hasher: PasswordHasher;
  readonly breached: BreachedPasswords;
  readonly throttle: SignInThrottle;
  readonly alarm: FailureAlarm;
  readonly factors: FactorStore;
  readonly challenges: ChallengeStore;
  readonly passkeys: PasskeyCeremonies;
  readonly totp: TotpCodes;
  readonly acts: AccountActs;
  readonly rules: AccountRules;
  readonly clock: Clock;
}
