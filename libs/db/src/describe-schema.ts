import pg from "pg";
import { checkName } from "./identifiers.ts";

/** Each answers `line`s about the schema of the name in $1. */
const queries: readonly string[] = [
  `select format('%s %s owner %s', case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
     when 'p' then 'partitioned table' else 'table' end, relname, pg_get_userbyid(relowner)) as line
   from pg_class where relnamespace = $1::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f')`,
  `select format('column %s.%s %s%s%s%s%s', relname, attname, format_type(atttypid, atttypmod),
     case when attnotnull then ' not null' else '' end,
     case when attidentity <> '' then ' identity ' || attidentity::text else '' end,
     case when attgenerated <> '' then ' generated ' || attgenerated::text else '' end,
     coalesce(' default ' || pg_get_expr(adbin, adrelid), '')) as line
   from pg_attribute join pg_class on pg_class.oid = attrelid
   left join pg_attrdef on adrelid = attrelid and adnum = attnum
   where relnamespace = $1::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f') and attnum > 0 and not attisdropped`,
  `select format('constraint %s.%s %s%s', conrelid::regclass, conname, pg_get_constraintdef(oid),
     case when convalidated then '' else ' not valid' end) as line
   from pg_constraint where connamespace = $1::regnamespace`,
  `select format('index %s%s', pg_get_indexdef(indexrelid), case when indisvalid then '' else ' invalid' end) as line
   from pg_index join pg_class on pg_class.oid = indexrelid where relnamespace = $1::regnamespace`,
  `select format('view %s as %s', relname, pg_get_viewdef(oid)) as line
   from pg_class where relnamespace = $1::regnamespace and relkind in ('v', 'm')`,
  `select format('trigger %s enabled %s', pg_get_triggerdef(pg_trigger.oid), tgenabled) as line
   from pg_trigger join pg_class on pg_class.oid = tgrelid where relnamespace = $1::regnamespace and not tgisinternal`,
  `select format('function %s owner %s', pg_get_functiondef(oid), pg_get_userbyid(proowner)) as line
   from pg_proc where pronamespace = $1::regnamespace and prokind in ('f', 'p')`,
  `select format('enum %s %s', typname, string_agg(enumlabel, ',' order by enumsortorder)) as line
   from pg_enum join pg_type on pg_type.oid = enumtypid where typnamespace = $1::regnamespace group by typname`,
  `select format('domain %s %s%s%s', typname, format_type(typbasetype, typtypmod),
     case when typnotnull then ' not null' else '' end, coalesce(' default ' || typdefault, '')) as line
   from pg_type where typnamespace = $1::regnamespace and typtype = 'd'`,
  `select format('policy %s on %s %s %s using %s check %s', policyname, tablename, permissive, cmd, qual, with_check) as line
   from pg_policies where schemaname = $1::text`,
  `select format('grant %s %s to %s', relname, string_agg(privilege_type, ',' order by privilege_type),
     case when grantee = 0 then 'public' else pg_get_userbyid(grantee) end) as line
   from pg_class, aclexplode(coalesce(relacl, acldefault(case relkind when 'S' then 's'::"char" else 'r' end, relowner)))
   where relnamespace = $1::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f') group by relname, grantee`,
  `select format('grant %s %s.%s to %s', string_agg(privilege_type, ',' order by privilege_type), relname, attname,
     case when grantee = 0 then 'public' else pg_get_userbyid(grantee) end) as line
   from pg_attribute join pg_class on pg_class.oid = attrelid, aclexplode(attacl)
   where relnamespace = $1::regnamespace group by relname, attname, grantee`,
  `select format('grant %s %s to %s', oid::regprocedure, privilege_type,
     case when grantee = 0 then 'public' else pg_get_userbyid(grantee) end) as line
   from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) where pronamespace = $1::regnamespace`,
];

/**
 * Everything a schema is made of, one line a fact, sorted: tables, columns (their order does not count), constraints, indexes,
 * views, triggers, functions, types, policies and grants. No rows. Two databases of one server hold equal schemas when the
 * lists are equal: a fresh one and an upgraded one must. `url` needs no more than USAGE. Throws when the schema is missing.
 */
export async function describeSchema(url: string, schema: string): Promise<readonly string[]> {
  checkName("schema", schema);
  const client = new pg.Client({
    connectionString: url,
    application_name: "describe-schema",
    connectionTimeoutMillis: 5_000,
    statement_timeout: 10_000,
    query_timeout: 12_000,
  });
  client.on("error", () => undefined);
  await client.connect();
  try {
    // With nothing on the search path every definition names its schema, whoever asks.
    await client.query("select set_config('search_path', '', false)");
    const lines: string[] = [];
    for (const query of queries) {
      const { rows } = await client.query<{ line: string }>(query, [schema]);
      lines.push(...rows.map((row) => row.line));
    }
    return lines.sort();
  } finally {
    await client.end();
  }
}
