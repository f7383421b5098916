import type { AccountAction, PasskeyAssertion, PasskeyAttestation } from "@codex/contracts";
import type { AccountId, Id, SessionId } from "@codex/kernel";
import type { MailSignal } from "../domain/account.ts";
import type { MailIntent } from "../domain/mail.ts";
import type { SessionRole } from "../domain/session-rules.ts";

/** Second factors, steps of signing in, and what operators do. */

export interface StoredTotp {
  readonly secret: string;
  readonly confirmed: boolean;
}

export interface StoredPasskey {
  readonly credentialId: string;
  readonly accountId: AccountId;
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly counter: number;
  readonly transports: readonly string[];
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
}

export interface FactorStore {
  totp(accountId: AccountId): Promise<StoredTotp | undefined>;
  /** A secret that waits for its first code; replaces another that waits. False when there is a confirmed one. */
  putTotp(accountId: AccountId, secret: string, now: Date): Promise<boolean>;
  /** Accepts a step once: true for the first caller only, and never for a step before an accepted one (SEC-26). */
  takeTotpStep(accountId: AccountId, step: number, confirm: boolean, now: Date): Promise<boolean>;
  removeTotp(accountId: AccountId): Promise<boolean>;
  recoveryCodesLeft(accountId: AccountId): Promise<number>;
  setRecoveryCodes(accountId: AccountId, codes: readonly string[]): Promise<void>;
  /** True for the first caller only. */
  takeRecoveryCode(accountId: AccountId, code: string): Promise<boolean>;
  passkeysOf(accountId: AccountId): Promise<readonly StoredPasskey[]>;
  passkey(credentialId: string): Promise<StoredPasskey | undefined>;
  /** False when the credential is known already, or the account has as many as it may. */
  addPasskey(passkey: StoredPasskey): Promise<boolean>;
  usedPasskey(credentialId: string, counter: number, now: Date): Promise<void>;
  removePasskey(accountId: AccountId, credentialId: string): Promise<boolean>;
}

export type ChallengePurpose = "second_factor" | "passkey" | "passkey_add";
export interface Challenge {
  readonly accountId: AccountId | undefined;
  readonly value: string;
}

export interface ChallengeStore {
  /** Answers its id, 256 random bits. */
  put(purpose: ChallengePurpose, challenge: Challenge, now: Date): Promise<string>;
  find(id: string, purpose: ChallengePurpose, now: Date): Promise<Challenge | undefined>;
  /** One caller gets it, once. */
  take(id: string, purpose: ChallengePurpose, now: Date): Promise<Challenge | undefined>;
  /** Counts a wrong answer; the fifth one ends it. */
  failed(id: string): Promise<void>;
}

type PublicKeyOptions = Readonly<Record<string, unknown>>;

/** WebAuthn, by a library. User verification is demanded, so that a passkey is two factors. */
export interface PasskeyCeremonies {
  signInOptions(): Promise<{ readonly challenge: string; readonly options: PublicKeyOptions }>;
  /** The new signature counter; undefined when the assertion is not of this key, origin and challenge. */
  verifyAssertion(assertion: PasskeyAssertion, challenge: string, passkey: StoredPasskey): Promise<number | undefined>;
  addOptions(
    account: { readonly accountId: AccountId; readonly email: string },
    known: readonly StoredPasskey[],
  ): Promise<{ readonly challenge: string; readonly options: PublicKeyOptions }>;
  verifyAttestation(
    attestation: PasskeyAttestation,
    challenge: string,
  ): Promise<Pick<StoredPasskey, "credentialId" | "publicKey" | "counter" | "transports"> | undefined>;
}

/** RFC 6238: SHA-1, six digits, thirty seconds, 160 bits of seed. */
export interface TotpCodes {
  newSecret(): string;
  uri(secret: string, email: string): string;
  /** The step that the code belongs to: this one, the one before or the one after. Undefined when it is none of them. */
  stepOf(secret: string, code: string, now: Date): number | undefined;
}

export interface AccountAct {
  readonly actId: Id<"act">;
  readonly action: AccountAction;
  readonly reason: string | null;
  readonly at: Date;
}

export interface ActDraft {
  readonly actorId: AccountId | null;
  readonly action: AccountAction;
  readonly accountId: AccountId | null;
  readonly reason: string | null;
  readonly details?: Readonly<Record<string, string>>;
}

export interface OperatedAccount {
  readonly accountId: AccountId;
  readonly email: string;
  readonly name: string | null;
  readonly role: SessionRole;
  readonly createdAt: Date;
  readonly blockedAt: Date | null;
  readonly secondFactor: boolean;
  readonly liveSessions: number;
  readonly language: "ru" | "en";
  readonly mailSignals: readonly MailSignal[];
}

export interface AccountActs {
  /** Each change is one transaction with its line in the audit log. */
  record(draft: ActDraft, now: Date): Promise<void>;
  /** Blocks or unblocks; ends the sessions and tells the other services and the owner. False when it is so already. */
  setBlocked(draft: ActDraft, blocked: boolean, now: Date, mails: readonly MailIntent[]): Promise<boolean>;
  endSessions(draft: ActDraft, now: Date): Promise<number>;
  /** False, and no line, when the account has no such live session. */
  endSession(draft: ActDraft, sessionId: SessionId, now: Date): Promise<boolean>;
  /** Ends every session of the account. */
  setRole(draft: ActDraft, role: SessionRole, now: Date): Promise<boolean>;
  search(
    search: string | undefined,
    after: AccountId | undefined,
    limit: number,
    now: Date,
  ): Promise<readonly OperatedAccount[]>;
  find(accountId: AccountId, now: Date): Promise<OperatedAccount | undefined>;
  /** What operators and the machine did to the account, newest first. */
  listOfOthers(accountId: AccountId, limit: number): Promise<readonly AccountAct[]>;
  /** True when the code is the one that was printed and there is no admin yet. */
  isBootstrapCode(code: string, now: Date): Promise<boolean>;
  /** As above, and uses it up: one caller gets true, once. */
  takeBootstrapCode(code: string, now: Date): Promise<boolean>;
}
