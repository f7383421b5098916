export {
  auditLogMigration,
  listActs,
  recordActs,
  verifyActs,
  type AuditAct,
  type AuditActTable,
  type AuditDraft,
  type AuditFilter,
  type ChainState,
} from "./audit-log.ts";
export {
  commandOutboxMigration,
  commandOutboxSource,
  insertCommands,
  type CommandDecision,
  type CommandOutboxSource,
  type CommandOutboxTable,
  type CommandRow,
} from "./command-outbox.ts";
export { type PoolConfig } from "./connection.ts";
export { describeSchema } from "./describe-schema.ts";
export { isRetryable, isUniqueViolation, sqlState } from "./errors.ts";
export { inboxMigration, markHandled, pruneInbox, type InboxTable } from "./inbox.ts";
export { assertMigrated, migrate, type MigrateOptions } from "./migrate.ts";
export { migrateCommand, type MigrateCommandOptions } from "./migrate-command.ts";
export { type MigrationRefusal } from "./migration-plan.ts";
export { appendOnlySql, checkRegistry, type Migration } from "./migration.ts";
export {
  insertOutbox,
  outboxInsertMax,
  outboxMigration,
  outboxSource,
  type OutboxMessage,
  type OutboxRow,
  type OutboxSource,
  type OutboxTable,
} from "./outbox.ts";
export { BinaryArray, type BinaryElement } from "./binary-array.ts";
export { prepared } from "./prepared.ts";
export { openDb, type Db } from "./pool.ts";
export { verifyActsCommand, type VerifyActsCommandOptions } from "./verify-acts-command.ts";
export { watchActs, type ActWatch } from "./watch-acts.ts";
export { provision, type ProvisionSpec } from "./provision.ts";
export { type TransactionOptions } from "./transaction.ts";
