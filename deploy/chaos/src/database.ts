import { migrations as billingMigrations, schema as billingSchema } from "@codex/billing-ledger";
import { gatewayMigrations, gatewaySchema } from "@codex/gateway-proxy";
import { keyMigrations, keysSchema } from "@codex/key-registry";
import { displayPrefix, generateApiKey, hashApiKey, idToUuid, newId, sealSecret, type AccountId } from "@codex/kernel";
import { createDatabase, type TestDatabase } from "@codex/testkit";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { passedEnvironment, root } from "./config.ts";

/** A customer of the load: an account with one key. */
export interface Customer {
  readonly accountId: AccountId;
  readonly apiKey: string;
}

const run = promisify(execFile);

/** Schemas of the three services that the money needs, migrated. */
export function makeDatabase(postgresUrl: string): Promise<TestDatabase> {
  return createDatabase({
    postgresUrl,
    service: [
      { schema: billingSchema, migrations: billingMigrations },
      { schema: keysSchema, migrations: keyMigrations },
      { schema: gatewaySchema, migrations: gatewayMigrations },
    ],
  });
}

/** Prices by billing's own command. */
export async function importPrices(database: TestDatabase, dataDir: string, prices: string): Promise<void> {
  const file = path.join(dataDir, "prices.json");
  writeFileSync(file, prices);
  await run(process.execPath, [path.join(root, "services/billing-ledger/dist/import-prices.js"), file], {
    env: { ...passedEnvironment(), NODE_ENV: "test", DATABASE_URL: database.urlFor("app", billingSchema) },
    timeout: 30_000,
  });
}

/** The one channel, as the gateway's operator API would have stored it. `models`: public name → the upstream's. */
export async function insertChannel(
  database: TestDatabase,
  upstreamUrl: string,
  channelSecret: string,
  models: Readonly<Record<string, string>>,
): Promise<void> {
  const id = newId("chn");
  const key = createHash("sha256").update(channelSecret).digest();
  await asAdmin(database, async (client) => {
    await client.query(
      `insert into gateway.channel (id, name, kind, base_url, sealed_secret, models, priority, enabled)
         values ($1, 'demo', 'demo', $2, $3, $4, 0, true)`,
      [
        idToUuid(id),
        `${upstreamUrl}/v1`,
        sealSecret("any-key-is-let-in", key, `channel:${id}`),
        JSON.stringify(models),
      ],
    );
    await client.query("update gateway.channel_version set version = version + 1");
  });
}

/** Accounts with a key each; they have no money yet. */
export async function insertCustomers(database: TestDatabase, count: number): Promise<readonly Customer[]> {
  const customers = Array.from({ length: count }, () => ({
    accountId: newId("acc"),
    apiKey: generateApiKey("cx", "live"),
  }));
  await asAdmin(database, (client) =>
    client.query(
      `insert into keys.api_key (id, account_id, name, display_prefix, hash)
         select id, account_id, 'chaos', prefix, hash
           from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[]) as k(id, account_id, prefix, hash)`,
      [
        customers.map(() => idToUuid(newId("key"))),
        customers.map(({ accountId }) => idToUuid(accountId)),
        customers.map(({ apiKey }) => displayPrefix(apiKey)),
        customers.map(({ apiKey }) => Buffer.from(hashApiKey(apiKey), "hex")),
      ],
    ),
  );
  return customers;
}

async function asAdmin(database: TestDatabase, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: database.adminUrl, query_timeout: 30_000 });
  client.on("error", () => undefined);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
