import { connectBus } from "@codex/bus";
import { schema as billingSchema } from "@codex/billing-ledger";
import { grantCommand } from "@codex/contracts";
import { gatewaySchema } from "@codex/gateway-proxy";
import { newId } from "@codex/kernel";
import { keysSchema } from "@codex/key-registry";
import type { Boundary } from "@codex/setup";
import { eventually, freePort, type TestDatabase } from "@codex/testkit";
import { mkdirSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import { importPrices, insertChannel, insertCustomers, makeDatabase, type Customer } from "../../chaos/src/database.ts";
import { priceFile } from "../../chaos/src/models.ts";
import { allServers, runSecret, startServers, type Servers } from "../../chaos/src/servers.ts";
import { unlimited } from "../../chaos/src/unlimited.ts";
import { models } from "./answers.ts";
import { startChild, type Child } from "./child.ts";
import { root } from "./config.ts";
import type { BenchPlace } from "./place.ts";
import { targetOf, type Target, type TargetName } from "./target.ts";

/** Each connection of the load belongs to one of these. */
const customersCount = 8;
const balanceMicroTokens = 1_000_000_000_000_000n;

interface GatewayOptions {
  readonly name: TargetName;
  readonly otlpUrl?: string;
  /** Settings that differ from those of the bench. */
  readonly env?: Readonly<Record<string, string>>;
  /** Runs its sources: a profile of the one file that a service is made into tells no part from another. */
  readonly fromSources?: boolean;
}

/** All of ours but the gateway: servers, key-registry, billing, money, prices, a channel. */
export interface System {
  readonly servers: Servers;
  readonly database: TestDatabase;
  /** As superuser; the search path is billing. */
  readonly admin: pg.Pool;
  readonly customers: readonly Customer[];
  readonly grantedMicroTokens: bigint;
  readonly backends: Readonly<Record<"billing" | "key-registry", Child>>;
  /** So many gateways, each with a spool of its own. */
  startGateways(workers: number, more?: GatewayOptions): Promise<Target>;
  stop(): Promise<void>;
}

export async function startSystem(place: BenchPlace): Promise<System> {
  const { dataDir, watchdog } = place;
  const servers = await startServers(dataDir, watchdog, () => undefined);
  const bus = await connectBus(
    { servers: [servers.nats.url], name: "bench" },
    { logger: { info: () => undefined, warn: () => undefined, error: () => undefined }, source: "bench" },
  );
  await bus.ensureTopology();
  const database = await makeDatabase(servers.postgres.url);
  const admin = new pg.Pool({
    connectionString: database.adminUrl,
    max: 2,
    options: `-c search_path=${billingSchema}`,
  });
  admin.on("error", () => undefined);
  const names = Object.values(models);
  await importPrices(database, dataDir, priceFile(names));
  const channelSecret = runSecret();
  const upstreamUrl = `http://127.0.0.1:${String(place.upstreamPort)}`;
  await insertChannel(database, upstreamUrl, channelSecret, Object.fromEntries(names.map((name) => [name, name])));
  const customers = await insertCustomers(database, customersCount);
  const starter = new ServiceStarter(place, servers, database);
  const backends = {
    billing: (await starter.start("billing-ledger", billingSchema, { BILLING_RECEIPT_KEY: runSecret() })).child,
    "key-registry": (await starter.start("key-registry", keysSchema, {})).child,
  };
  for (const { accountId } of customers) {
    await bus.publish(grantCommand, {
      params: { accountId },
      data: {
        accountId,
        bucket: "paid",
        amountMicroTokens: balanceMicroTokens,
        reason: "operator_grant",
        idempotencyKey: newId("evt"),
      },
    });
  }
  const funded = async (): Promise<boolean> => {
    const { rows } = await admin.query<{ n: string }>("select count(*) as n from balance where paid > 0");
    return rows[0]?.n === String(customersCount);
  };
  await eventually(funded, { timeoutMs: 15_000, what: "the customers' money" });
  return {
    servers,
    database,
    admin,
    customers,
    grantedMicroTokens: balanceMicroTokens * BigInt(customersCount),
    backends,
    startGateways: (workers, more = { name: "ours" }) =>
      starter.gateways(workers, more, { channelSecret, keys: customers.map(({ apiKey }) => apiKey) }),
    stop: async () => {
      await Promise.all(Object.values(backends).map((child) => child.stop()));
      await bus.drain();
      await admin.end();
      await Promise.all(allServers(servers).map((server) => server.stop()));
    },
  };
}

function programOf(folder: string, fromSources: boolean): readonly string[] {
  const service = path.join(root, "services", folder);
  return fromSources
    ? ["--no-warnings", "--conditions=codex:source", path.join(service, "src/main.ts")]
    : ["--enable-source-maps", path.join(service, "dist/main.js")];
}

class ServiceStarter {
  private readonly place: BenchPlace;
  private readonly servers: Servers;
  private readonly database: TestDatabase;
  private gatewayNo = 0;

  constructor(place: BenchPlace, servers: Servers, database: TestDatabase) {
    this.place = place;
    this.servers = servers;
    this.database = database;
  }

  async start(
    folder: string,
    schema: Boundary["name"],
    env: Readonly<Record<string, string>>,
    { instance = folder, fromSources = false } = {},
  ): Promise<{ readonly child: Child; readonly url: string }> {
    const [port, adminPort] = [await freePort(), await freePort()];
    const child = await startChild(
      {
        name: instance,
        command: process.execPath,
        args: programOf(folder, fromSources),
        env: {
          NODE_ENV: "production",
          LOG_LEVEL: "info",
          HTTP_PORT: String(port),
          ADMIN_PORT: String(adminPort),
          INSTANCE_ID: instance,
          SHUTDOWN_GRACE_MS: "0",
          PUBLIC_ORIGIN: "http://localhost:8080",
          DATABASE_URL: this.database.urlFor("app", schema),
          NATS_URL: this.servers.users.as(schema, "nats", this.servers.nats.url),
          ...env,
        },
        logFile: path.join(this.place.dataDir, `logs/${instance}.log`),
        readyUrl: `http://127.0.0.1:${String(adminPort)}/readyz`,
      },
      this.place.watchdog,
    );
    return { child, url: `http://127.0.0.1:${String(port)}` };
  }

  async gateways(
    workers: number,
    more: GatewayOptions,
    shared: { readonly channelSecret: string; readonly keys: readonly string[] },
  ): Promise<Target> {
    const children = [];
    for (let worker = 1; worker <= workers; worker += 1) {
      this.gatewayNo += 1;
      const instance = `gateway-${String(this.gatewayNo)}`;
      const spool = path.join(this.place.dataDir, "spool", instance);
      mkdirSync(spool, { recursive: true, mode: 0o700 });
      children.push(
        await this.start(
          "gateway-proxy",
          gatewaySchema,
          {
            REDIS_URL: this.servers.users.as(gatewaySchema, "redis", this.servers.redis.url),
            GATEWAY_CHANNEL_KEY: shared.channelSecret,
            GATEWAY_SPOOL_DIR: spool,
            ...unlimited,
            ...more.env,
            ...(more.otlpUrl === undefined ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: more.otlpUrl }),
          },
          { instance, ...(more.fromSources === undefined ? {} : { fromSources: more.fromSources }) },
        ),
      );
    }
    return targetOf(more.name, children, { keys: shared.keys });
  }
}
