import { AppError } from "@codex/kernel";
import { checkRegistry, checksumOf, type Migration } from "./migration.ts";

/** A row of the schema's own record, `schema_migration`. */
export interface AppliedMigration {
  readonly name: string;
  readonly checksum: string;
  readonly additive: boolean;
  /** False when a non-transactional migration began and nobody saw it end. */
  readonly finished: boolean;
}

export interface PendingMigration {
  readonly migration: Migration;
  readonly checksum: string;
  /** It began before and did not end. */
  readonly interrupted: boolean;
}

export interface MigrationPlan {
  readonly pending: readonly PendingMigration[];
  /** Names in the database that the registry does not have, all later than its last. */
  readonly newer: readonly AppliedMigration[];
}

/** A reason not to touch, or not to run on, a database. */
export type MigrationRefusal =
  | "schema_missing"
  | "migration_edited"
  | "migration_unknown"
  | "migration_out_of_order"
  | "database_newer"
  | "migrations_pending"
  | "migration_lock_timeout";

/** Kind `internal`: a start refusal, never an answer to a request. `names` are the migrations at fault. */
export function migrationRefusal(
  code: MigrationRefusal,
  schema: string,
  sentence: string,
  names: readonly string[],
): AppError {
  return new AppError({
    kind: "internal",
    code,
    publicMessage: `schema ${schema}: ${sentence}`,
    detail: { schema, names },
  });
}

/**
 * Compares the registry with the record. Throws AppError `migration_edited` when an applied one has another checksum now,
 * `migration_unknown` when one that is not the newest was removed from the registry, `migration_out_of_order` when one that
 * is not applied stands before one that is.
 */
export async function planMigrations(
  schema: string,
  migrations: readonly Migration[],
  applied: readonly AppliedMigration[],
): Promise<MigrationPlan> {
  checkRegistry(migrations);
  const refuse = (code: MigrationRefusal, sentence: string, name: string): AppError =>
    migrationRefusal(code, schema, sentence, [name]);
  const lastKnown = migrations.at(-1)?.name ?? "";
  const known = new Set(migrations.map((migration) => migration.name));
  const unknown = applied.filter((row) => !known.has(row.name));
  for (const { name } of unknown) {
    if (name < lastKnown)
      throw refuse("migration_unknown", `applied migration ${name} is not in the registry any more`, name);
  }
  const rows = new Map(applied.map((row) => [row.name, row]));
  const pending: PendingMigration[] = [];
  for (const migration of migrations) {
    const { name } = migration;
    const checksum = await checksumOf(migration);
    const row = rows.get(name);
    // One that never ended may be corrected: that is the way out of a statement that cannot succeed.
    if (row?.finished === true && row.checksum !== checksum)
      throw refuse("migration_edited", `applied migration ${name} was edited`, name);
    if (row?.finished !== true) pending.push({ migration, checksum, interrupted: row !== undefined });
    else if (pending.length > 0) {
      const first = pending[0]?.migration.name ?? name;
      throw refuse(
        "migration_out_of_order",
        `migration ${first} is not applied but ${name}, which follows it, is`,
        first,
      );
    }
  }
  return { pending, newer: unknown };
}
