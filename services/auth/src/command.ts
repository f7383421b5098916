import { openDb, type Db } from "@codex/db";
import { defineConfig, env, loadConfig, processEnvironment } from "@codex/runtime";
import { authSchema, type AuthTables } from "./store/schema.ts";

/** The database of a one-shot command of whoever has the machine. `name` stands in errors and in `pg_stat_activity`. */
export async function withDatabase<T>(name: string, run: (db: Db<AuthTables>) => Promise<T>): Promise<T> {
  const spec = defineConfig({
    service: name,
    fields: { DATABASE_URL: env.url({ protocols: ["postgres", "postgresql"] }).describe("Postgres, role auth_app") },
    build: (fields) => fields.DATABASE_URL,
  });
  const url = loadConfig(spec, processEnvironment());
  const db = openDb<AuthTables>({ url, schema: authSchema, applicationName: name, connectionsMax: 1 });
  try {
    return await run(db);
  } finally {
    await db.close();
  }
}

/** For a part of the store that encodes events, in a command that publishes none. */
export function publishesNothing(): never {
  throw new Error("this command publishes nothing");
}
