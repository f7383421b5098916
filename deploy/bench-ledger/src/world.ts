import { migrations, schema } from "@codex/billing-ledger";
import { connectBus, type Bus, type BusLogger } from "@codex/bus";
import { migrate, provision } from "@codex/db";
import { idToUuid, newId, type Id } from "@codex/kernel";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import pg from "pg";
import { infraDataFolders, removeInfraData } from "../../../libs/testkit/src/data-folder.ts";
import { startWatchdog, type Watchdog } from "../../../libs/testkit/src/watchdog.ts";
import { allServers, startServers, type Servers } from "../../chaos/src/servers.ts";
import { accountsMax, benchModel, makeAccounts, type BenchAccount } from "./accounts.ts";

/** Servers of the bench's own, written through to disk, with the ledger's schema, a price and funded accounts. */
export interface BenchWorld {
  /** Each may be killed and started again on its data. */
  readonly servers: Servers;
  readonly bus: Bus;
  /** As superuser, on the bench's database. */
  readonly admin: pg.Pool;
  readonly adminUrl: string;
  readonly appUrl: string;
  readonly accounts: readonly BenchAccount[];
  readonly priceVersion: Id<"prc">;
  readonly epoch: number;
  readonly dataDir: string;
  /** Stops what it is told of when the bench is killed. */
  readonly watchdog: Pick<Watchdog, "watch" | "forget">;
  stop(): Promise<void>;
}

const quiet: BusLogger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const database = "bench";

/** A server for a ledger: durable, and with a bounded log, so that a crash is recovered from in seconds. */
const postgresSettings = {
  shared_buffers: "256MB",
  checkpoint_timeout: "5min",
};

export async function startWorld(log: (line: string) => void): Promise<BenchWorld> {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), "codex-bench-"));
  // mkdtemp makes it 0700; started by root, Postgres runs as another user, which must be able to pass through.
  chmodSync(dataDir, 0o711);
  const watchdog = startWatchdog(infraDataFolders(dataDir));
  const servers = await startServers(dataDir, watchdog, log);
  const settings = new pg.Client({ connectionString: servers.postgres.url });
  await settings.connect();
  for (const [name, value] of Object.entries(postgresSettings))
    // eslint-disable-next-line security/parameterised-sql -- settings of this program.
    await settings.query(`alter system set ${name} = '${value}'`);
  await settings.query(`create database ${database}`);
  await settings.end();
  // The size of the shared memory is decided at the start.
  await servers.postgres.stop();
  await servers.postgres.start();
  const adminUrl = withPath(servers.postgres.url, database);
  const [owner, app] = [randomBytes(12).toString("hex"), randomBytes(12).toString("hex")];
  await provision(adminUrl, [
    { schema, ownerRole: "billing_owner", ownerPassword: owner, appRole: "billing_app", appPassword: app },
  ]);
  await migrate({ url: withUser(adminUrl, "billing_owner", owner), schema, migrations });
  const admin = new pg.Pool({
    connectionString: adminUrl,
    max: 4,
    connectionTimeoutMillis: 2_000,
    query_timeout: 600_000,
    options: `-c search_path=${schema}`,
  });
  admin.on("error", () => undefined);
  const priceVersion = await insertPrice(admin);
  const accounts = makeAccounts(accountsMax + 1);
  const epoch = await fund(admin, accounts);
  // Of a server that has run for a day, Postgres knows what its tables hold.
  await admin.query("analyze");
  const bus = await connectBus({ servers: [servers.nats.url], name: "bench" }, { logger: quiet, source: "bench" });
  await bus.ensureTopology();
  return {
    servers,
    bus,
    admin,
    adminUrl,
    appUrl: withUser(adminUrl, "billing_app", app),
    accounts,
    priceVersion,
    epoch,
    dataDir,
    watchdog,
    stop: async () => {
      await bus.drain();
      await admin.end();
      await Promise.all(allServers(servers).map((server) => server.stop()));
      watchdog.release();
      removeInfraData(dataDir);
    },
  };
}

function withPath(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

function withUser(url: string, user: string, password: string): string {
  const changed = new URL(url);
  [changed.username, changed.password] = [user, password];
  return changed.href;
}

async function insertPrice(admin: pg.Pool): Promise<Id<"prc">> {
  const version = newId("prc");
  await admin.query("insert into price_version (id, content_hash) values ($1, $2)", [
    idToUuid(version),
    randomBytes(32),
  ]);
  await admin.query(
    `insert into price_row (price_version, model, display_name, context_tokens, output_tokens_max, rate_input,
       rate_cached_input, rate_cache_write, rate_output, rate_reasoning, per_request)
     values ($1, $2, 'Bench', 1000000, 100000, 150000, 75000, 187500, 600000, 600000, 0)`,
    [idToUuid(version), benchModel],
  );
  return version;
}

/** Much money and one lease of an open epoch for everybody; straight into the tables, as no service may. */
async function fund(admin: pg.Pool, accounts: readonly BenchAccount[]): Promise<number> {
  const { rows } = await admin.query<{ epoch: string }>("select open_epoch('bench') as epoch");
  const epoch = Number(rows[0]?.epoch);
  const client = await admin.connect();
  try {
    await client.query(
      "create temporary table bench_account (no integer, account_id uuid, lease_id uuid, partition smallint)",
    );
    await client.query(
      "insert into bench_account select * from unnest($1::integer[], $2::uuid[], $3::uuid[], $4::smallint[])",
      [
        accounts.map((_, index) => index + 1),
        accounts.map((account) => idToUuid(account.accountId)),
        accounts.map((account) => idToUuid(account.leaseId)),
        accounts.map((account) => account.partition),
      ],
    );
    // In parts: every command holds a lock until its transaction ends.
    for (let from = 0; from < accounts.length; from += 1_000) {
      await client.query(
        `select credit_account('bench-account-' || no, sha256(account_id::text::bytea), uuid_v7(), account_id, 'paid', 'promo',
           partition, 1000000000000, 'bench') from bench_account where no > $1 and no <= $1 + 1000`,
        [from],
      );
    }
    await client.query(
      `insert into lease (id, account_id, epoch, request_no, partition, granted, ttl_ms)
       select lease_id, account_id, $1, no, partition, 900000000000, 60000 from bench_account`,
      [epoch],
    );
    await client.query("update balance set reserved = 900000000000, version = version + 1");
    await client.query("vacuum analyze balance, lease, entry, transfer, ledger_account");
  } finally {
    client.release();
  }
  return epoch;
}
