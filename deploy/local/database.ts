import { provision } from "@codex/db";
import pg from "pg";
import { databaseSecretName, services } from "./services.ts";

const databaseName = "codex";

/**
 * Our database on a server that we started; on a given server the database that its URL names is used as it is.
 * Returns the administrator's URL of that database. Idempotent.
 */
export async function ensureDatabase(postgresUrl: string, given: boolean): Promise<string> {
  if (given) return postgresUrl;
  const client = new pg.Client({
    connectionString: postgresUrl,
    connectionTimeoutMillis: 5_000,
    query_timeout: 30_000,
  });
  await client.connect();
  try {
    const found = await client.query("select 1 from pg_database where datname = $1", [databaseName]);
    if (found.rowCount === 0) await client.query(`create database ${client.escapeIdentifier(databaseName)}`);
  } finally {
    await client.end();
  }
  const url = new URL(postgresUrl);
  url.pathname = `/${databaseName}`;
  return url.href;
}

/** Schemas and roles of every service that has one, with the passwords of this clone. */
export async function provisionSchemas(adminUrl: string, secret: (name: string) => string): Promise<void> {
  const specs = services.flatMap(({ schema }) =>
    schema === undefined
      ? []
      : [
          {
            schema,
            ownerRole: `${schema}_owner`,
            ownerPassword: secret(databaseSecretName(schema, "owner")),
            appRole: `${schema}_app`,
            appPassword: secret(databaseSecretName(schema, "app")),
          },
        ],
  );
  await provision(adminUrl, specs);
}

/** The URL of one role; passwords are hex, so nothing needs escaping. */
export function roleUrl(
  adminUrl: string,
  schema: string,
  role: "owner" | "app",
  secret: (name: string) => string,
): string {
  const url = new URL(adminUrl);
  url.username = `${schema}_${role}`;
  url.password = secret(databaseSecretName(schema, role));
  return url.href;
}
