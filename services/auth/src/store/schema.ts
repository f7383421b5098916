import type { AuditActTable, InboxTable, OutboxTable } from "@codex/db";
import type { Generated, GeneratedAlways, JSONColumnType } from "kysely";
import type { Consent, MailSignal } from "../domain/account.ts";
import type { SessionFactor, SessionRole } from "../domain/session-rules.ts";
import type { MailKind } from "../domain/mail.ts";

export interface AccountTable {
  readonly id: string;
  /** Canonical form of domain/account.ts; unique. */
  readonly email: string;
  readonly name: string | null;
  readonly role: SessionRole;
  /** Form of crypto/password-hasher.ts. */
  readonly password_hash: string;
  readonly created_at: Date;
  readonly language: "ru" | "en";
  readonly blocked_at: Date | null;
  /** Null: made by a replica of the version before. */
  readonly mailbox: string | null;
  readonly mail_signals: Generated<readonly MailSignal[]>;
}

export interface SessionTable {
  readonly id: string;
  readonly account_id: string;
  readonly created_at: Date;
  readonly last_seen_at: Date;
  readonly ended_at: Date | null;
  readonly factor: SessionFactor;
  /** Null in rows of the version before: the beginning of the session. */
  readonly authenticated_at: Date | null;
}

export interface RegistrationTable {
  readonly email: string;
  readonly id: string;
  readonly name: string | null;
  readonly password_hash: string;
  readonly language: "ru" | "en";
  readonly consents: JSONColumnType<Consent[]>;
  readonly invitation_hash: Buffer | null;
  readonly token_hash: Buffer | null;
  readonly failures: number;
  readonly created_at: Date;
  readonly expires_at: Date;
}

export interface LinkTable {
  readonly account_id: string;
  readonly purpose: "reset" | "sign_in" | "email_change";
  readonly token_hash: Buffer;
  /** Of `email_change`: the new address. */
  readonly email: string | null;
  readonly failures: number;
  readonly created_at: Date;
  readonly expires_at: Date;
}

export interface MailIntentTable {
  readonly id: GeneratedAlways<bigint>;
  readonly kind: MailKind;
  readonly email: string;
  readonly language: "ru" | "en";
  readonly data: JSONColumnType<Record<string, string>>;
  readonly attempts: number;
  readonly due_at: Date;
  readonly created_at: Date;
  readonly expires_at: Date;
}

interface DemoMailTable {
  readonly id: GeneratedAlways<bigint>;
  readonly recipient: string;
  readonly subject: string;
  readonly body: string;
  readonly sent_at: Date;
}

interface ConsentTable {
  readonly account_id: string;
  readonly document: string;
  readonly version: string;
  readonly at: Date;
}

interface ChallengeTable {
  readonly id_hash: Buffer;
  readonly purpose: string;
  readonly account_id: string | null;
  readonly value: string;
  readonly failures: number;
  readonly expires_at: Date;
}

interface TotpTable {
  readonly account_id: string;
  /** Envelope of kernel's `sealSecret`. */
  readonly sealed_secret: string;
  readonly confirmed_at: Date | null;
  /** The step of the last code that was accepted. */
  readonly last_step: bigint;
  readonly created_at: Date;
}

interface RecoveryCodeTable {
  readonly account_id: string;
  readonly code_hash: Buffer;
}

export interface PasskeyTable {
  readonly credential_id: string;
  readonly account_id: string;
  readonly public_key: Buffer;
  readonly counter: bigint;
  readonly transports: string[];
  readonly name: string;
  readonly created_at: Date;
  readonly last_used_at: Date | null;
}

interface InvitationTable {
  readonly token_hash: Buffer;
  readonly email: string;
  readonly created_by: string;
  readonly expires_at: Date;
}

interface BootstrapCodeTable {
  readonly only_one: boolean;
  readonly code_hash: Buffer;
  readonly expires_at: Date;
}

interface AlarmTable {
  readonly kind: string;
  readonly raised_at: Date;
}

export interface AuthTables {
  account: AccountTable;
  session: SessionTable;
  outbox: OutboxTable;
  registration: RegistrationTable;
  link: LinkTable;
  mail_intent: MailIntentTable;
  demo_mail: DemoMailTable;
  consent: ConsentTable;
  challenge: ChallengeTable;
  totp: TotpTable;
  recovery_code: RecoveryCodeTable;
  passkey: PasskeyTable;
  invitation: InvitationTable;
  bootstrap_code: BootstrapCodeTable;
  audit_act: AuditActTable;
  inbox: InboxTable;
  alarm: AlarmTable;
}

export const authSchema = "auth";
