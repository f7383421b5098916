import { describeSchema } from "@codex/db";
import pg from "pg";
import { schemas } from "../src/config.ts";
import type { World } from "./world.ts";

/**
 * Who may do what in Postgres, one line a grant, as pg_catalog says it after every migration: roles, schemas, tables, columns,
 * sequences, functions and default privileges. What the owner of a schema may do to its own is left out, because it is everything.
 */
export async function grantsOf({ adminPostgresUrl }: Pick<World, "adminPostgresUrl">): Promise<string> {
  const lines = new Set<string>();
  for (const schema of schemas) {
    for (const line of await describeSchema(adminPostgresUrl, schema)) {
      const isOwners = line.endsWith(` to ${schema}_owner`);
      if (line.startsWith("grant ") && !isOwners) lines.add(`${schema}: ${undated(line)}`);
    }
  }
  for (const line of await serverGrants(adminPostgresUrl)) lines.add(line);
  return `${[...lines].toSorted().join("\n")}\n`;
}

/** Tables of one day are made as days come. */
function undated(line: string): string {
  return line.replaceAll(/_(\d{8})\b/g, "_<day>");
}

const queries: readonly string[] = [
  `select format('role %s%s%s%s%s%s%s', rolname, case when rolsuper then ' superuser' else '' end,
     case when rolcreaterole then ' createrole' else '' end, case when rolcreatedb then ' createdb' else '' end,
     case when rolreplication then ' replication' else '' end, case when rolbypassrls then ' bypassrls' else '' end,
     case when rolcanlogin then ' login' else '' end) as line
   from pg_roles where rolname !~ '^pg_'`,
  `select format('role %s is a member of %s', pg_get_userbyid(member), pg_get_userbyid(roleid)) as line
   from pg_auth_members where pg_get_userbyid(member) !~ '^pg_'`,
  `select format('schema %s: %s to %s', nspname, string_agg(privilege_type, ',' order by privilege_type),
     case when grantee = 0 then 'public' else pg_get_userbyid(grantee) end) as line
   from pg_namespace, aclexplode(nspacl) where nspname !~ '^pg_' and nspname <> 'information_schema' group by nspname, grantee`,
  `select format('default in %s: %s on %s to %s', coalesce(defaclnamespace::regnamespace::text, 'every schema'),
     string_agg(privilege_type, ',' order by privilege_type), defaclobjtype,
     case when grantee = 0 then 'public' else pg_get_userbyid(grantee) end) as line
   from pg_default_acl, aclexplode(defaclacl) group by defaclnamespace, defaclobjtype, grantee, defaclrole`,
];

async function serverGrants(adminUrl: string): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: adminUrl, connectionTimeoutMillis: 10_000, query_timeout: 20_000 });
  client.on("error", () => undefined);
  await client.connect();
  try {
    const lines: string[] = [];
    for (const query of queries) {
      const { rows } = await client.query<{ line: string }>(query);
      lines.push(...rows.map(({ line }) => line));
    }
    return lines;
  } finally {
    await client.end();
  }
}
