import pg from "pg";
import { schemas, type Schema } from "../src/config.ts";
import type { Attempt, Control, Tried } from "./attempt.ts";
import type { World } from "./world.ts";

/** What must never be changed or taken away once it is written, not even by the service that wrote it (SEC-107, SEC-108). */
const appendOnly: Readonly<Partial<Record<Schema, readonly string[]>>> = {
  billing: [
    ...["transfer", "entry", "pending_transfer", "usage_row", "usage_key", "usage_refund", "operator_act"],
    ...["dispute_event", "price_version", "price_row", "voucher", "voucher_act", "receipt_key", "audit_run"],
    ...["ledger_seal", "alert_fired"],
  ],
  gateway: ["channel_act"],
};

interface Table {
  readonly name: string;
  readonly column: string;
}

/** What takes a superuser, or the owner of the schema. */
function neverOf(schema: Schema): readonly string[] {
  return [
    `create table ${schema}.x (id int)`,
    "create table public.x (id int)",
    "create schema x",
    "create role x",
    "create extension pg_stat_statements",
    `set role ${schema}_owner`,
    "set role postgres",
    "select * from pg_authid",
    "select pg_read_file('/etc/passwd')",
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/tmp/x'",
    "set log_statement = 'none'",
    "set session_replication_role = 'replica'",
    `alter role ${schema}_app superuser`,
    `grant ${schema}_owner to ${schema}_app`,
    `drop schema ${schema} cascade`,
  ];
}

/** As both roles of each service; everything in a transaction that is rolled back, so that a success does no harm to the rest. */
export async function tryPostgres(world: World): Promise<Tried> {
  const tables = await tablesOf(world.adminPostgresUrl);
  const attempts: Attempt[] = [];
  const controls: Control[] = [];
  for (const schema of schemas) {
    const own = tables.get(schema) ?? [];
    const foreign = schemas
      .filter((other) => other !== schema)
      .flatMap((other) => (tables.get(other) ?? []).map((table) => ({ other, ...table })));
    const foreignReads = foreign.map(({ other, name }) => `select * from ${other}.${name} limit 1`);
    const foreignWrites = foreign.flatMap(({ other, name, column }) => [
      `delete from ${other}.${name}`,
      `update ${other}.${name} set ${column} = ${column}`,
    ]);
    const shape = own.flatMap(({ name }) => [
      `drop table ${schema}.${name}`,
      `alter table ${schema}.${name} add column x int`,
      `truncate ${schema}.${name}`,
    ]);
    const kept = (appendOnly[schema] ?? []).flatMap((name) => {
      const table = own.find((one) => one.name === name);
      if (!table) throw new Error(`there is no table ${schema}.${name}`);
      return [`update ${schema}.${name} set ${table.column} = ${table.column}`, `delete from ${schema}.${name}`];
    });
    const app = [...foreignReads, ...foreignWrites, ...shape, ...neverOf(schema), ...kept];
    attempts.push(...(await tryAll(world.postgresUrl(schema, "app"), `${schema}_app`, app)));
    attempts.push(...(await tryAll(world.postgresUrl(schema, "owner"), `${schema}_owner`, foreignReads)));
    const [first] = own;
    const read = `select 1 from ${schema}.schema_migration limit 1`;
    const works = first !== undefined && (await run(world.postgresUrl(schema, "app"), read)) === undefined;
    controls.push({ server: "postgres", as: `${schema}_app`, what: read, works });
  }
  return { attempts, controls };
}

async function tryAll(url: string, as: string, statements: readonly string[]): Promise<readonly Attempt[]> {
  const client = await connect(url);
  try {
    const attempts: Attempt[] = [];
    for (const what of statements) {
      await client.query("begin");
      const error = await client.query(what).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      await client.query("rollback");
      attempts.push({ server: "postgres", as, what, ...judge(error) });
    }
    return attempts;
  } finally {
    await client.end();
  }
}

/** 42501 is insufficient_privilege; anything else, a syntax error too, is no refusal. */
function judge(error: unknown): Pick<Attempt, "outcome" | "detail"> {
  if (error === undefined) return { outcome: "ALLOWED" };
  if (error instanceof pg.DatabaseError && error.code === "42501") return { outcome: "denied" };
  return { outcome: "ALLOWED", detail: error instanceof Error ? error.message : "no error" };
}

/** Undefined when it worked. */
async function run(url: string, statement: string): Promise<unknown> {
  const client = await connect(url);
  try {
    await client.query(statement);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await client.end();
  }
}

async function tablesOf(adminUrl: string): Promise<ReadonlyMap<Schema, readonly Table[]>> {
  const client = await connect(adminUrl);
  try {
    // Views have the same kinds of rights, but cannot be truncated.
    const { rows } = await client.query<{ schema: Schema; name: string; column: string }>(
      `select n.nspname as schema, c.relname as name, quote_ident(a.attname) as column
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       join lateral (select attname from pg_attribute
         where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = '' and attidentity <> 'a'
         order by attnum limit 1) a on true
       where n.nspname = any($1) and c.relkind in ('r', 'p') and c.relname !~ '[0-9]{4,}$' order by 1, 2`,
      [[...schemas]],
    );
    return Map.groupBy(rows, ({ schema }) => schema);
  } finally {
    await client.end();
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: "permissions",
    connectionTimeoutMillis: 10_000,
    query_timeout: 20_000,
  });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}
