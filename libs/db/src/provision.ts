import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { sqlState } from "./errors.ts";
import { checkName, quoteName } from "./identifiers.ts";
import { checkPassword, scramVerifier, verifies } from "./scram.ts";

/** One service's place in the database. Names are lower-case letters, digits and _; passwords printable ASCII. */
export interface ProvisionSpec {
  readonly schema: string;
  /** Owns the schema and its tables; used by the migrator only. */
  readonly ownerRole: string;
  readonly ownerPassword: string;
  /** Reads and writes rows; cannot create, alter or drop anything. */
  readonly appRole: string;
  readonly appPassword: string;
}

const specsMax = 100;
const statementTimeoutMs = 30_000;
const attemptsMax = 20;

/** 42710, 23505: another provisioner was faster. XX000 is "tuple concurrently updated", which has no state of its own. */
const raceStates: readonly (string | undefined)[] = ["42710", "23505", "XX000"];

/**
 * Makes roles and schemas as asked; idempotent, and safe to run at once in several databases of one server. An existing role
 * gets the given password. The administrator is a superuser, or has CREATEROLE and CREATE on the database. Tables that exist
 * already keep their grants, so that a REVOKE in a migration is not undone. Needs Postgres 15 or newer.
 */
export async function provision(adminUrl: string, specs: readonly ProvisionSpec[]): Promise<void> {
  checkSpecs(specs);
  const client = new pg.Client({
    connectionString: adminUrl,
    application_name: "provision",
    connectionTimeoutMillis: 5_000,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 2_000,
  });
  client.on("error", () => undefined);
  await client.connect();
  try {
    for (const spec of specs) {
      await ensureRole(client, quoteName("ownerRole", spec.ownerRole), spec.ownerRole, spec.ownerPassword);
      await ensureRole(client, quoteName("appRole", spec.appRole), spec.appRole, spec.appPassword);
    }
    await whileRaced(() => ensureSchemas(client, specs));
  } finally {
    await client.end();
  }
}

/** Before anything is made, so that a mistake in the last spec leaves nothing behind. */
function checkSpecs(specs: readonly ProvisionSpec[]): void {
  if (specs.length > specsMax) throw new RangeError(`at most ${specsMax} schemas at once`);
  for (const spec of specs) {
    checkName("schema", spec.schema);
    checkName("ownerRole", spec.ownerRole);
    checkName("appRole", spec.appRole);
    checkPassword(spec.ownerPassword);
    checkPassword(spec.appPassword);
    // The owner may do everything to its tables, so nothing would be refused to the service.
    if (spec.ownerRole === spec.appRole) throw new Error(`schema ${spec.schema}: appRole must not be ownerRole`);
  }
}

/** Roles belong to the whole server, where no lock of one database reaches: so races are met, not prevented. */
async function ensureRole(client: pg.Client, quoted: string, name: string, password: string): Promise<void> {
  await whileRaced(async () => {
    const found = await client.query("select 1 from pg_roles where rolname = $1", [name]);
    if (found.rowCount === 0) {
      await client.query(
        // eslint-disable-next-line security/parameterised-sql -- quoted by the caller, as its name says.
        `create role ${quoted} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls
         password ${client.escapeLiteral(scramVerifier(password))}`,
      );
      return;
    }
    if (await hasPassword(client, name, password)) return;
    // eslint-disable-next-line security/parameterised-sql -- the same.
    await client.query(`alter role ${quoted} login password ${client.escapeLiteral(scramVerifier(password))}`);
  });
}

/** Only a superuser may look; for others the answer is false, and the password is set again. */
async function hasPassword(client: pg.Client, name: string, password: string): Promise<boolean> {
  const may = await client.query<{ may: boolean }>("select has_table_privilege('pg_authid', 'select') as may");
  if (may.rows[0]?.may !== true) return false;
  const { rows } = await client.query<{ stored: string | null }>(
    "select rolpassword as stored from pg_authid where rolname = $1 and rolcanlogin",
    [name],
  );
  return verifies(rows[0]?.stored ?? null, password);
}

async function ensureSchemas(client: pg.Client, specs: readonly ProvisionSpec[]): Promise<void> {
  await client.query("begin");
  try {
    await client.query("select pg_advisory_xact_lock(hashtextextended('codex.provision', 0))");
    for (const spec of specs) await ensureSchema(client, spec);
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}

async function ensureSchema(client: pg.Client, spec: ProvisionSpec): Promise<void> {
  const schema = quoteName("schema", spec.schema);
  const owner = quoteName("ownerRole", spec.ownerRole);
  const app = quoteName("appRole", spec.appRole);
  const { rows } = await client.query<{ database: string; superuser: boolean }>(
    "select current_database() as database, rolsuper as superuser from pg_roles where rolname = current_user",
  );
  const database = client.escapeIdentifier(rows[0]?.database ?? "");
  // Creating for, and granting in the name of, the owner needs membership; a superuser has it by nature.
  // eslint-disable-next-line security/parameterised-sql -- quoteName has checked it.
  if (rows[0]?.superuser !== true) await client.query(`grant ${owner} to current_user`);
  const defaults = `alter default privileges for role ${owner}`;
  for (const statement of [
    `grant connect on database ${database} to ${owner}, ${app}`,
    `create schema if not exists ${schema} authorization ${owner}`,
    `alter schema ${schema} owner to ${owner}`,
    `revoke all on schema ${schema} from public`,
    `grant usage on schema ${schema} to ${app}`,
    `${defaults} revoke execute on functions from public`,
    `${defaults} in schema ${schema} grant select, insert, update, delete on tables to ${app}`,
    `${defaults} in schema ${schema} grant usage, select on sequences to ${app}`,
    `${defaults} in schema ${schema} grant execute on functions to ${app}`,
  ]) {
    await client.query(statement);
  }
}

async function whileRaced(run: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await run();
      return;
    } catch (error) {
      if (attempt >= attemptsMax || !raceStates.includes(sqlState(error))) throw error;
    }
    await delay(Math.random() * 10 * attempt);
  }
}
