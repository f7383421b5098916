import { schema as billingSchema } from "@codex/billing-ledger";
import { connectBus, type Bus } from "@codex/bus";
import { grantCommand, keyCreated } from "@codex/contracts";
import { gatewaySchema } from "@codex/gateway-proxy";
import { newId, type AccountId, type KeyId } from "@codex/kernel";
import { keysSchema } from "@codex/key-registry";
import type { Boundary } from "@codex/setup";
import { eventually, freePort, type TestDatabase } from "@codex/testkit";
import { mkdirSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import type { Watchdog } from "../../../libs/testkit/src/watchdog.ts";
import { startAuthStandIn } from "../../../services/auth/tests/_stand-in.ts";
import { models } from "../../bench-gateway/src/answers.ts";
import { startChild, type Child } from "../../bench-gateway/src/child.ts";
import { root } from "../../bench-gateway/src/config.ts";
import { importPrices, insertChannel, makeDatabase } from "../../chaos/src/database.ts";
import { throughLink } from "../../chaos/src/fleet.ts";
import { priceFile } from "../../chaos/src/models.ts";
import { allServers, runSecret, startServers, type Server, type Servers } from "../../chaos/src/servers.ts";
import { Link } from "../../chaos/src/tcp-proxy.ts";
import { unlimited } from "../../chaos/src/unlimited.ts";

/**
 * The platform of the measurement: real servers, key-registry, billing, five gateways, each a process with the user of its
 * service, and a cable between each gateway and NATS. Auth alone is stood in for: whether a session is alive is no part of it.
 */

const origin = "http://localhost:8080";
const balanceMicroTokens = 1_000_000_000_000_000n;

export interface Gateway {
  readonly url: string;
  readonly nats: Link;
}

export interface IssuedKey {
  readonly keyId: KeyId;
  readonly secret: string;
}

export interface System {
  readonly gateways: readonly Gateway[];
  issue(): Promise<IssuedKey>;
  /** As its owner does it. Resolves when key-registry has answered. */
  revoke(key: IssuedKey): Promise<void>;
  /** Kills Redis, and starts it again on its data: limits and throttles live there, and revocation must not need it. */
  readonly redis: Pick<Server, "kill" | "start">;
  /** In the row alone: neither event nor tombstone will tell anybody. */
  revokeInSilence(key: IssuedKey): Promise<void>;
  stop(): Promise<void>;
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export async function startSystem(dataDir: string, watchdog: Watchdog, workers: number): Promise<System> {
  const closers: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    return await build(dataDir, watchdog, workers, closers, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function build(
  dataDir: string,
  watchdog: Watchdog,
  workers: number,
  closers: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<System> {
  const servers = await startServers(dataDir, watchdog, () => undefined);
  const { users } = servers;
  closers.push(() => Promise.all(allServers(servers).map((server) => server.stop())));
  const bus = await connectBus({ servers: [servers.nats.url], name: "bench" }, { logger: quiet, source: "bench" });
  closers.push(() => bus.drain());
  await bus.ensureTopology();
  const database = await makeDatabase(servers.postgres.url);
  const upstreamPort = await freePort();
  const names = Object.values(models);
  await importPrices(database, dataDir, priceFile(names));
  const channelSecret = runSecret();
  const channelModels = Object.fromEntries(names.map((name) => [name, name]));
  await insertChannel(database, `http://127.0.0.1:${String(upstreamPort)}`, channelSecret, channelModels);
  const auth = await startAuthStandIn(bus, origin);
  closers.push(() => auth.stop());

  const { start, service } = starter({ dataDir, watchdog, servers, database }, closers);
  const upstream = [path.join(root, "deploy/bench-gateway/src/upstream.ts"), String(upstreamPort)];
  await start("upstream", ["--no-warnings", ...upstream], {}, `http://127.0.0.1:${String(upstreamPort)}/count`);
  await service("billing-ledger", billingSchema, "billing", { BILLING_RECEIPT_KEY: runSecret() });
  const registryUrl = await service("key-registry", keysSchema, "key-registry", {});
  const gateways: Gateway[] = [];
  for (let index = 1; index <= workers; index += 1) {
    const nats = await Link.open(`gateway-${String(index)}→nats`, servers.nats.port);
    closers.push(() => nats.close());
    const spool = path.join(dataDir, `spool/${String(index)}`);
    mkdirSync(spool, { recursive: true, mode: 0o700 });
    const direct = users.as(gatewaySchema, "nats", servers.nats.url);
    const url = await service("gateway-proxy", gatewaySchema, `gateway-${String(index)}`, {
      NATS_URL: throughLink(direct, nats),
      REDIS_URL: users.as(gatewaySchema, "redis", servers.redis.url),
      GATEWAY_CHANNEL_KEY: channelSecret,
      GATEWAY_SPOOL_DIR: spool,
      ...unlimited,
    });
    gateways.push({ url, nats });
  }
  return { gateways, stop, redis: servers.redis, ...(await owner(bus, auth, database, registryUrl, closers)) };
}

interface Place {
  readonly dataDir: string;
  readonly watchdog: Watchdog;
  readonly servers: Servers;
  readonly database: TestDatabase;
}

/** Starts programs, and services with the user of their schema; all are stopped together. */
function starter({ dataDir, watchdog, servers, database }: Place, closers: (() => Promise<unknown>)[]) {
  const children: Child[] = [];
  // Together: each waits some seconds for what it still has to tell.
  closers.push(() => Promise.all(children.map((child) => child.stop())));
  const start = async (
    name: string,
    args: readonly string[],
    env: Record<string, string>,
    readyUrl: string,
  ): Promise<Child> => {
    const logFile = path.join(dataDir, `logs/${name}.log`);
    const child = await startChild({ name, command: process.execPath, args, env, logFile, readyUrl }, watchdog);
    children.push(child);
    return child;
  };
  const service = async (
    folder: string,
    schema: Boundary["name"],
    name: string,
    env: Record<string, string>,
  ): Promise<string> => {
    const [port, adminPort] = [await freePort(), await freePort()];
    const settings = {
      NODE_ENV: "production",
      LOG_LEVEL: "warn",
      HTTP_PORT: String(port),
      ADMIN_PORT: String(adminPort),
      INSTANCE_ID: name,
      SHUTDOWN_GRACE_MS: "0",
      PUBLIC_ORIGIN: origin,
      DATABASE_URL: database.urlFor("app", schema),
      NATS_URL: servers.users.as(schema, "nats", servers.nats.url),
      ...env,
    };
    const program = path.join(root, `services/${folder}/dist/main.js`);
    await start(name, ["--enable-source-maps", program], settings, `http://127.0.0.1:${String(adminPort)}/readyz`);
    return `http://127.0.0.1:${String(port)}`;
  };
  return { start, service };
}

/** An account with money, and what it does with its keys, at most a hundred at a time. */
async function owner(
  bus: Bus,
  auth: Awaited<ReturnType<typeof startAuthStandIn>>,
  database: TestDatabase,
  registryUrl: string,
  closers: (() => Promise<unknown>)[],
): Promise<Pick<System, "issue" | "revoke" | "revokeInSilence">> {
  const accountId: AccountId = newId("acc");
  const cookie = await auth.signIn(accountId);
  const admin = new pg.Pool({ connectionString: database.adminUrl, max: 1 });
  admin.on("error", () => undefined);
  closers.push(() => admin.end());
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
  const funded = async (): Promise<boolean> =>
    (await admin.query("select 1 from billing.balance where paid > 0")).rowCount === 1;
  await eventually(funded, { timeoutMs: 15_000, what: "the account's money" });
  const post = async (ask: string, body: unknown): Promise<unknown> => {
    const response = await fetch(`${registryUrl}${ask}`, {
      method: "POST",
      headers: { cookie, origin, "x-cx-csrf": "1", "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(`POST ${ask}: ${String(response.status)} ${await response.text()}`);
    return response.json();
  };
  return {
    async issue() {
      const { key, secret } = keyCreated.parse(await post("/api/keys", { name: "bench" }));
      return { keyId: key.keyId, secret };
    },
    async revoke({ keyId }) {
      await post(`/api/keys/${keyId}/revoke`, {});
    },
    async revokeInSilence({ secret }) {
      await admin.query(
        "update keys.api_key set status = 'revoked', revoked_at = now(), version = version + 1 where hash = sha256($1::bytea)",
        [Buffer.from(secret)],
      );
    },
  };
}
