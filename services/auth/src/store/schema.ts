import type { OutboxTable } from "@codex/db";
import type { SessionRole } from "../domain/session-rules.ts";

export interface AccountTable {
  readonly id: string;
  /** Canonical form of domain/account.ts; unique. */
  readonly email: string;
  readonly name: string | null;
  readonly role: SessionRole;
  /** Form of crypto/password-hasher.ts. */
  readonly password_hash: string;
  readonly created_at: Date;
}

export interface SessionTable {
  readonly id: string;
  readonly account_id: string;
  readonly created_at: Date;
  readonly last_seen_at: Date;
  readonly ended_at: Date | null;
}

export interface AuthTables {
  account: AccountTable;
  session: SessionTable;
  outbox: OutboxTable;
}

export const authSchema = "auth";
