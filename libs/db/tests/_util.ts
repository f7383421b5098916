import { randomBytes } from "node:crypto";
import { eventually, testInfra } from "@codex/testkit";
import { sql, type Kysely } from "kysely";
import pg from "pg";
import { openDb, provision, type Db, type InboxTable, type OutboxTable, type ProvisionSpec } from "../src/index.ts";

export interface Tables {
  account: { id: bigint; name: string };
  inbox: InboxTable;
  outbox: OutboxTable;
}

export interface TestDatabase {
  readonly name: string;
  readonly spec: ProvisionSpec;
  readonly adminUrl: string;
  readonly ownerUrl: string;
  readonly appUrl: string;
  /** Pools opened here are closed by `drop`. */
  open(overrides?: { connectionsMax?: number; statementTimeoutMs?: number; role?: "owner" | "app" }): Db<Tables>;
  /** Runs as the superuser and answers the rows. */
  admin<Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Without FORCE: it fails when a test left a connection open, so it is the leak check too. */
  drop(): Promise<void>;
}

export function urlFor(database: string, user?: string, password?: string): string {
  const url = new URL(testInfra().postgresUrl);
  url.pathname = `/${database}`;
  if (user !== undefined) url.username = user;
  if (password !== undefined) url.password = password;
  return url.href;
}

export async function asAdmin<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

export function newSpec(schema: string): ProvisionSpec {
  const suffix = randomBytes(4).toString("hex");
  return {
    schema,
    ownerRole: `${schema}_${suffix}_owner`,
    ownerPassword: randomBytes(12).toString("hex"),
    appRole: `${schema}_${suffix}_app`,
    appPassword: randomBytes(12).toString("hex"),
  };
}

export async function emptyDatabase(): Promise<{ name: string; url: string }> {
  const name = `db_test_${randomBytes(6).toString("hex")}`;
  await asAdmin(testInfra().postgresUrl, `create database ${name} template template0`);
  return { name, url: urlFor(name) };
}

export async function dropDatabase(name: string, roles: readonly string[] = []): Promise<void> {
  const url = testInfra().postgresUrl;
  await eventually(
    async () => {
      await asAdmin(url, `drop database if exists ${name}`);
      return true;
    },
    { what: `dropping ${name} without a connection left open` },
  );
  for (const role of roles) await asAdmin(url, `drop role if exists ${role}`);
}

/** A database of its own with one provisioned schema and roles of its own. */
export async function testDatabase(schema = "svc"): Promise<TestDatabase> {
  const { name, url } = await emptyDatabase();
  const spec = newSpec(schema);
  await provision(url, [spec]);
  const opened: Db<Tables>[] = [];
  const ownerUrl = urlFor(name, spec.ownerRole, spec.ownerPassword);
  const appUrl = urlFor(name, spec.appRole, spec.appPassword);
  return {
    name,
    spec,
    adminUrl: url,
    ownerUrl,
    appUrl,
    open: ({ role, ...overrides } = {}) => {
      const db = openDb<Tables>({
        url: role === "owner" ? ownerUrl : appUrl,
        schema,
        applicationName: "test",
        ...overrides,
      });
      opened.push(db);
      return db;
    },
    admin: (text, values) => asAdmin(url, text, values),
    drop: async () => {
      for (const db of opened) await db.close();
      await dropDatabase(name, [spec.ownerRole, spec.appRole]);
    },
  };
}

/** Resolves when a connection of this database waits for a lock. */
export async function someoneWaits(database: TestDatabase): Promise<void> {
  await eventually(
    async () => {
      const rows = await database.admin(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rows.length > 0;
    },
    { what: "a connection waiting for a lock" },
  );
}

export async function countOf(db: Kysely<Tables>, table: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*)::int4 as count from ${sql.table(table)}`.execute(db);
  return rows[0]?.count ?? -1;
}
