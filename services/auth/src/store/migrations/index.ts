import { inboxMigration, outboxMigration, type Migration } from "@codex/db";
import { accountSecurity } from "./20261126T0300-account-security.ts";
import { accountAuditLog } from "./20261127T0100-audit-log.ts";
import { mailSignals } from "./20261127T0103-mail-signals.ts";

/** Every migration, oldest first. A file that has been merged is never edited; a mistake is corrected by the next one. */
export const authMigrations: readonly Migration[] = [
  {
    name: "20261123T1300_create_account",
    up: `
      create table account (
        id uuid primary key,
        email text not null unique check (char_length(email) <= 254 and email = lower(email)),
        name text check (char_length(name) between 1 and 100),
        role text not null default 'user' check (role in ('user', 'support', 'finance', 'admin')),
        password_hash text not null,
        created_at timestamptz not null
      );
      create table session (
        id uuid primary key,
        account_id uuid not null references account (id),
        created_at timestamptz not null,
        last_seen_at timestamptz not null,
        ended_at timestamptz
      );
      create index session_account on session (account_id) where ended_at is null;
    `,
  },
  outboxMigration("20261123T1301_create_outbox"),
  { name: "20261126T0300_account_security", up: accountSecurity, additive: true },
  accountAuditLog,
  { ...inboxMigration("20261127T0101_create_inbox"), additive: true },
  {
    // When operators were last told of something, so that of many replicas one tells.
    name: "20261127T0102_create_alarm",
    up: "create table alarm (kind text primary key, raised_at timestamptz not null)",
    additive: true,
  },
  { name: "20261127T0103_add_mail_signals", up: mailSignals, additive: true },
  {
    // For operators, who see what is over as well; without it each look would read every session there is.
    name: "20261127T0104_index_sessions_of_account",
    transactional: false,
    up: "create index concurrently if not exists session_account_created on session (account_id, created_at)",
    additive: true,
  },
];
