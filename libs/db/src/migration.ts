import { createHash } from "node:crypto";
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type LogEvent,
} from "kysely";

/** One step of a schema. Forward only; once merged it is never edited, a new one follows instead. */
export interface Migration {
  /** UTC time and what it does, "20261123T1200_create_account"; sorts in the order of application. */
  readonly name: string;
  /**
   * SQL (preferred; may hold several statements), or a function over kysely. A function must issue the same statements
   * whatever the database holds, because its checksum is taken of the statements it issues on an empty one.
   * `current_setting('codex.app_role')` is the app role's name, to be used with REVOKE.
   */
  readonly up: string | ((db: Kysely<unknown>) => Promise<void> | string);
  /**
   * Default true. False for what Postgres refuses in a transaction, CREATE INDEX CONCURRENTLY above all: exactly one
   * statement, which must be harmless to repeat (IF NOT EXISTS), since a crash can fall between it and its record.
   */
  readonly transactional?: boolean;
  /**
   * True when code that does not know this migration keeps working after it, so that replicas of the version before may still
   * start during a rolling deploy or after a rollback. Default false: such code refuses to start.
   */
  readonly additive?: boolean;
}

const namePattern = /^\d{8}T\d{4}_[a-z0-9_]{1,100}$/;

/** Throws when a name is malformed or the registry is not in strictly rising order, which also rules out duplicates. */
export function checkRegistry(migrations: readonly Migration[]): void {
  let before = "";
  for (const { name } of migrations) {
    if (!namePattern.test(name)) throw new Error(`migration name "${name}" is not like 20261123T1200_create_account`);
    if (name <= before)
      throw new Error(`migration "${name}" must not stand after "${before}": names rise in the registry`);
    before = name;
  }
}

/** SHA-256, hex, of what a migration does. Line ends and white space at the end of lines do not count. */
export async function checksumOf(migration: Migration): Promise<string> {
  const { up } = migration;
  const statements = typeof up === "string" ? [up] : await recordStatements(migration.name, up);
  const text = statements.map((statement) => statement.replaceAll(/[ \t\r]+$/gm, "").trim());
  return createHash("sha256")
    .update(JSON.stringify([migration.transactional ?? true, text]))
    .digest("hex");
}

/**
 * Runs a function against a driver that answers every query with no rows, and notes what it asked. The text of the function
 * itself would differ between source, build and test transform.
 */
async function recordStatements(name: string, up: Exclude<Migration["up"], string>): Promise<string[]> {
  const statements: string[] = [];
  const log = (event: LogEvent): void => {
    const values = event.query.parameters.map((value) => (typeof value === "bigint" ? `${value}n` : value));
    statements.push(values.length === 0 ? event.query.sql : `${event.query.sql} -- ${JSON.stringify(values)}`);
  };
  const db = new Kysely<unknown>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (kysely) => new PostgresIntrospector(kysely),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
    log,
  });
  try {
    const text = await up(db);
    if (typeof text === "string") statements.push(text);
  } catch (error) {
    throw new Error(`migration "${name}" depends on what the database holds; write it in SQL`, { cause: error });
  } finally {
    await db.destroy();
  }
  return statements;
}

/**
 * SQL for a migration that makes a table append-only for the app role: takes UPDATE, DELETE and TRUNCATE away. The owner
 * still can; a trigger is needed against that.
 */
export function appendOnlySql(table: string): string {
  if (!/^[a-z_][a-z0-9_]*$/.test(table)) throw new Error("table must be lower-case letters, digits and _");
  return `do $$ begin
  execute format('revoke update, delete, truncate on ${table} from %I', current_setting('codex.app_role'));
end $$`;
}
