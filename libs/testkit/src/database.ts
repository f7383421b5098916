import { createHash, randomBytes } from "node:crypto";
import { migrate, provision, type Migration } from "@codex/db";
import pg from "pg";
import { keepTestDatabases } from "./config.ts";
import { testInfra } from "./test-infra.ts";

export interface ServiceSchema {
  /** "auth"; its roles are auth_owner and auth_app. */
  readonly schema: string;
  readonly migrations: readonly Migration[];
}

export interface CreateDatabaseOptions {
  readonly service: readonly ServiceSchema[];
  /** Superuser URL of the server; the one of this test run unless told. */
  readonly postgresUrl?: string;
}

export interface TestDatabase {
  readonly name: string;
  /** Superuser, in this database. */
  readonly adminUrl: string;
  /** Throws RangeError for a schema that was not asked for. */
  urlFor(role: "owner" | "app", schema: string): string;
  /** Drops the database, cutting every session. With KEEP_TEST_DB=1 it stays, and its URL is printed. Idempotent. */
  drop(): Promise<void>;
}

const statementTimeoutMs = 120_000;
/** Held while a template is made: in the database "postgres", because advisory locks end at the border of a database. */
const templateLock = "hashtextextended('codex.testkit.template', 0)";

/**
 * A database of its own for one test file, migrated, empty of rows but what migrations put there. The first caller with
 * a set of migrations makes a template of it, every other clones that (about 0.1 s). Safe from several workers.
 */
export async function createDatabase(options: CreateDatabaseOptions): Promise<TestDatabase> {
  const serverUrl = options.postgresUrl ?? testInfra().postgresUrl;
  const template = await ensureTemplate(serverUrl, options.service);
  const name = `test_${Date.now().toString(36)}_${randomBytes(4).toString("hex")}`;
  await asAdmin(serverUrl, (client) =>
    client.query(`create database ${client.escapeIdentifier(name)} template ${client.escapeIdentifier(template)}`),
  );
  const adminUrl = databaseUrl(serverUrl, name);
  const schemas = new Set(options.service.map((service) => service.schema));
  const drop = async (): Promise<void> => {
    if (keepTestDatabases()) {
      process.stderr.write(`kept test database: ${adminUrl}\n`);
      return;
    }
    await asAdmin(serverUrl, (client) =>
      client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`),
    );
  };
  return {
    name,
    adminUrl,
    urlFor: (role, schema) => {
      if (!schemas.has(schema)) throw new RangeError(`the database was made without the schema ${schema}`);
      return roleUrl(adminUrl, `${schema}_${role}`);
    },
    drop,
  };
}

/** Gives the template's name. Its being marked as a template is what says that it is complete. */
async function ensureTemplate(serverUrl: string, services: readonly ServiceSchema[]): Promise<string> {
  const template = `template_${fingerprint(services)}`;
  await asAdmin(serverUrl, async (client) => {
    if (await isComplete(client, template)) return;
    await client.query(`select pg_advisory_lock(${templateLock})`);
    if (await isComplete(client, template)) return;
    const quoted = client.escapeIdentifier(template);
    // What an interrupted maker left behind.
    await client.query(`drop database if exists ${quoted} with (force)`);
    await client.query(`create database ${quoted}`);
    await fill(databaseUrl(serverUrl, template), services);
    await client.query(`alter database ${quoted} with is_template true allow_connections false`);
  });
  return template;
}

async function fill(adminUrl: string, services: readonly ServiceSchema[]): Promise<void> {
  await provision(
    adminUrl,
    services.map(({ schema }) => ({
      schema,
      ownerRole: `${schema}_owner`,
      ownerPassword: rolePassword(adminUrl, `${schema}_owner`),
      appRole: `${schema}_app`,
      appPassword: rolePassword(adminUrl, `${schema}_app`),
    })),
  );
  for (const { schema, migrations } of services) {
    await migrate({ url: roleUrl(adminUrl, `${schema}_owner`), schema, migrations, appRole: `${schema}_app` });
  }
}

async function isComplete(client: pg.Client, template: string): Promise<boolean> {
  const found = await client.query("select 1 from pg_database where datname = $1 and datistemplate", [template]);
  return found.rowCount === 1;
}

function fingerprint(services: readonly ServiceSchema[]): string {
  const parts = services.map(({ schema, migrations }) => [
    schema,
    ...migrations.map(({ name, up, transactional }) => [
      name,
      typeof up === "string" ? up : up.toString(),
      transactional ?? true,
    ]),
  ]);
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 24);
}

/** Roles belong to the whole server, which all workers share: each must come to the same password by itself. */
function rolePassword(serverUrl: string, role: string): string {
  return createHash("sha256")
    .update(`${new URL(serverUrl).password}:${role}`)
    .digest("hex");
}

function roleUrl(adminUrl: string, role: string): string {
  const url = new URL(adminUrl);
  url.username = role;
  url.password = rolePassword(adminUrl, role);
  return url.href;
}

function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function asAdmin(serverUrl: string, run: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({
    connectionString: serverUrl,
    application_name: "testkit",
    connectionTimeoutMillis: 10_000,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 2000,
  });
  client.on("error", () => undefined);
  await client.connect();
  try {
    await run(client);
  } finally {
    // Ends the session, and with it the advisory lock.
    await client.end();
  }
}
