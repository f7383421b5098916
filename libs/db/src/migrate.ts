import { setTimeout as delay } from "node:timers/promises";
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { clientConfig } from "./connection.ts";
import { sqlState } from "./errors.ts";
import { checkName, quoteName } from "./identifiers.ts";
import { migrationRefusal, planMigrations, type AppliedMigration, type PendingMigration } from "./migration-plan.ts";
import type { Migration } from "./migration.ts";
import type { Db } from "./pool.ts";

export interface MigrateOptions {
  /** Of the schema's owner role, straight to the server: the lock belongs to the session, so no transaction pooler between. */
  readonly url: string;
  readonly schema: string;
  readonly migrations: readonly Migration[];
  /** Default: the one role beside the owner that has USAGE on the schema. */
  readonly appRole?: string;
  /** Bound for one statement, milliseconds. Default 10 minutes. */
  readonly statementTimeoutMs?: number;
  /** How long to wait for another migrator of the same schema, milliseconds. Default 10 minutes. */
  readonly waitMs?: number;
}

const minuteMs = 60_000;

/** A table lock that is not had within this is given up and tried again, so that readers do not queue up behind us. */
const tableLockTimeoutMs = 5_000;
const lockAttemptsMax = 5;

const pollMinMs = 20;
const pollMaxMs = 500;

/**
 * Brings a schema up to its registry and answers what was applied, in order; nothing when it was already there. Any number may
 * run at once: one works, the others wait and find nothing to do. Each migration commits with its record; the first that fails
 * ends the run with its error and leaves the earlier ones applied.
 * Throws AppError `schema_missing` (provision comes first), `database_newer`, `migration_lock_timeout`, or as
 * {@link planMigrations}.
 */
export async function migrate(options: MigrateOptions): Promise<{ applied: string[] }> {
  const schema = checkName("schema", options.schema);
  const settings = clientConfig({
    url: options.url,
    schema,
    applicationName: `migrate-${schema}`,
    statementTimeoutMs: options.statementTimeoutMs ?? 10 * minuteMs,
    lockTimeoutMs: tableLockTimeoutMs,
  });
  const pool = new pg.Pool({ ...settings, max: 1 });
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  const kysely = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    return await kysely.connection().execute(async (session) => {
      await takeLock(session, schema, options.waitMs ?? 10 * minuteMs);
      await prepare(session, schema, options.appRole);
      return { applied: await applyPending(session, schema, options.migrations) };
    });
  } finally {
    // Ending the session frees the lock too, whatever happened before.
    await kysely.destroy();
  }
}

/**
 * Refuses to run on a schema that is not the registry's: AppError `migrations_pending` ("run migrate: 2 pending"),
 * `database_newer` unless everything newer is additive, or as {@link planMigrations}. Only reads, as the app role.
 */
export async function assertMigrated<Tables>(
  db: Db<Tables>,
  schema: string,
  migrations: readonly Migration[],
): Promise<void> {
  const kysely = db.kysely as Kysely<unknown>;
  const recorded = await sql<{ found: boolean }>`
    select to_regclass(${`${quoteName("schema", schema)}.schema_migration`}) is not null as found`.execute(kysely);
  const applied = recorded.rows[0]?.found === true ? await readApplied(kysely, schema) : [];
  const { pending, newer } = await planMigrations(schema, migrations, applied);
  refuseNewer(
    schema,
    newer.filter((row) => !row.additive),
  );
  if (pending.length > 0) {
    const names = pending.map((item) => item.migration.name);
    throw migrationRefusal("migrations_pending", schema, `run migrate: ${pending.length} pending`, names);
  }
}

/**
 * Polls instead of waiting inside Postgres: a waiting statement holds a snapshot, and CREATE INDEX CONCURRENTLY of the
 * migrator that has the lock would wait for it for ever.
 */
async function takeLock(session: Kysely<unknown>, schema: string, waitMs: number): Promise<void> {
  const deadlineMs = performance.now() + waitMs;
  for (let pauseMs = pollMinMs; ; pauseMs = Math.min(pollMaxMs, pauseMs * 2)) {
    const { rows } = await sql<{ taken: boolean }>`
      select pg_try_advisory_lock(hashtextextended(${`codex.migrate.${schema}`}, 0)) as taken`.execute(session);
    if (rows[0]?.taken === true) return;
    if (performance.now() > deadlineMs) {
      throw migrationRefusal(
        "migration_lock_timeout",
        schema,
        `another migrator is still at work after ${waitMs} ms`,
        [],
      );
    }
    await delay(pauseMs * (0.5 + Math.random() / 2));
  }
}

async function prepare(session: Kysely<unknown>, schema: string, appRole: string | undefined): Promise<void> {
  const { rows } = await sql<{ roles: string[] }>`
    select coalesce(array_agg(distinct grantee.rolname::text) filter (
      where grantee.oid <> nspowner and acl.privilege_type = 'USAGE'), '{}') as roles
    from pg_namespace
    left join aclexplode(nspacl) as acl on true
    left join pg_roles as grantee on grantee.oid = acl.grantee
    where nspname = ${schema} group by pg_namespace.oid`.execute(session);
  const found = rows[0]?.roles;
  if (!found) throw migrationRefusal("schema_missing", schema, "does not exist, provision it first", []);
  const role = appRole ?? (found.length === 1 ? found[0] : undefined) ?? "";
  await sql`select set_config('codex.app_role', ${role}, false)`.execute(session);
  await sql`
    create table if not exists schema_migration (
      name text primary key,
      checksum text not null,
      additive boolean not null,
      started_at timestamptz not null default clock_timestamp(),
      finished_at timestamptz
    )`.execute(session);
  // The default privileges of the schema gave the app role everything on the new table; the record is the owner's alone.
  await sql`
    do $$ declare grantee regrole; begin
      for grantee in
        select distinct acl.grantee::regrole from pg_class, aclexplode(relacl) as acl
        where pg_class.oid = 'schema_migration'::regclass and acl.grantee not in (relowner, 0) and privilege_type <> 'SELECT'
      loop
        execute format('revoke all on schema_migration from %s', grantee);
        execute format('grant select on schema_migration to %s', grantee);
      end loop;
    end $$`.execute(session);
}

async function applyPending(
  session: Kysely<unknown>,
  schema: string,
  migrations: readonly Migration[],
): Promise<string[]> {
  const { pending, newer } = await planMigrations(schema, migrations, await readApplied(session, schema));
  refuseNewer(schema, newer);
  for (const item of pending) {
    if (item.migration.transactional === false) await applyAlone(session, schema, item);
    else await applyInTransaction(session, item);
  }
  return pending.map((item) => item.migration.name);
}

async function applyInTransaction(session: Kysely<unknown>, item: PendingMigration): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await session.transaction().execute(async (trx) => {
        await runUp(trx, item.migration);
        await recordStart(trx, item);
        await recordFinish(trx, item);
      });
      return;
    } catch (error) {
      // 55P03: the table was in use for longer than the lock timeout; nothing has happened, so it can be tried again.
      if (attempt >= lockAttemptsMax || sqlState(error) !== "55P03") throw error;
    }
    await delay(Math.random() * 1_000 * attempt);
  }
}

async function applyAlone(session: Kysely<unknown>, schema: string, item: PendingMigration): Promise<void> {
  if (item.interrupted) await dropInvalidIndexes(session, schema);
  await recordStart(session, item);
  // It waits for transactions that are older than itself, which is its way of not being in theirs.
  await sql`select set_config('lock_timeout', '0', false)`.execute(session);
  await runUp(session, item.migration);
  await sql`select set_config('lock_timeout', ${String(tableLockTimeoutMs)}, false)`.execute(session);
  await recordFinish(session, item);
}

/** A concurrent build that was cut off leaves an index that is maintained but never used, and that IF NOT EXISTS believes in. */
async function dropInvalidIndexes(session: Kysely<unknown>, schema: string): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select relname::text as name from pg_index
    join pg_class on pg_class.oid = indexrelid
    join pg_namespace on pg_namespace.oid = relnamespace
    where nspname = ${schema} and relkind = 'i' and not indisvalid and not relispartition`.execute(session);
  for (const { name } of rows) {
    await sql`drop index concurrently if exists ${sql.id(schema, name)}`.execute(session);
  }
}

async function runUp(db: Kysely<unknown>, migration: Migration): Promise<void> {
  const text = typeof migration.up === "string" ? migration.up : await migration.up(db);
  // The text is a constant of the registry, never input; without parameters it may hold several statements.
  // eslint-disable-next-line security/parameterised-sql -- see above.
  if (typeof text === "string") await sql.raw(text).execute(db);
}

async function recordStart(db: Kysely<unknown>, { migration, checksum }: PendingMigration): Promise<void> {
  await sql`
    insert into schema_migration (name, checksum, additive)
    values (${migration.name}, ${checksum}, ${migration.additive ?? false})
    on conflict (name) do update
    set checksum = excluded.checksum, additive = excluded.additive, started_at = excluded.started_at`.execute(db);
}

async function recordFinish(db: Kysely<unknown>, { migration }: PendingMigration): Promise<void> {
  await sql`
    update schema_migration set finished_at = clock_timestamp() where name = ${migration.name}`.execute(db);
}

async function readApplied(db: Kysely<unknown>, schema: string): Promise<AppliedMigration[]> {
  const { rows } = await sql<AppliedMigration>`
    select name, checksum, additive, finished_at is not null as finished
    from ${sql.id(schema, "schema_migration")} order by name`.execute(db);
  return rows;
}

function refuseNewer(schema: string, newer: readonly AppliedMigration[]): void {
  if (newer.length === 0) return;
  const names = newer.map((row) => row.name);
  const sentence = `the database is newer than this code, which does not know ${names.join(", ")}`;
  throw migrationRefusal("database_newer", schema, sentence, names);
}
