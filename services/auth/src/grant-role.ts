import { role } from "@codex/contracts";
import { openDb } from "@codex/db";
import { defineConfig, env, loadConfig, processEnvironment } from "@codex/runtime";
import { parseArgs } from "node:util";
import { canonicalEmail } from "./domain/account.ts";
import { accountStore } from "./store/account-store.ts";
import { authSchema, type AuthTables } from "./store/schema.ts";

// One-shot command of whoever has the machine: `node dist/grant-role.js --email ops@example.org --role admin`.
// It is how the first operator comes to be; every session of the account ends, so that the new rights need a new sign-in.
const { values } = parseArgs({ options: { email: { type: "string" }, role: { type: "string" } } });
const wanted = role.safeParse(values.role);
if (values.email === undefined || !wanted.success) {
  process.stderr.write(`usage: grant-role --email <address> --role <${role.options.join("|")}>\n`);
  process.exitCode = 64;
} else {
  const spec = defineConfig({
    service: "grant-role",
    fields: { DATABASE_URL: env.url({ protocols: ["postgres", "postgresql"] }).describe("Postgres, role auth_app") },
    build: (fields) => fields.DATABASE_URL,
  });
  const url = loadConfig(spec, processEnvironment());
  const db = openDb<AuthTables>({ url, schema: authSchema, applicationName: "grant-role", connectionsMax: 1 });
  // Changing a role announces nothing on the bus, so there is nothing to encode.
  const accounts = accountStore(db, () => {
    throw new Error("grant-role publishes nothing");
  });
  const found = await accounts.setRole(canonicalEmail(values.email), wanted.data);
  await db.close();
  process.stdout.write(found ? `${values.email} is ${wanted.data} now\n` : `there is no account ${values.email}\n`);
  if (!found) process.exitCode = 1;
}
