import { schema as billingSchema } from "@codex/billing-ledger";
import { gatewaySchema } from "@codex/gateway-proxy";
import { keysSchema } from "@codex/key-registry";
import type { Boundary } from "@codex/setup";
import { freePort, type TestDatabase } from "@codex/testkit";
import { mkdirSync } from "node:fs";
import path from "node:path";
import type { Watchdog } from "../../../libs/testkit/src/watchdog.ts";
import { BatchWatch } from "./batch-watch.ts";
import { passedEnvironment, root } from "./config.ts";
import { Program } from "./processes.ts";
import { runSecret, type Servers } from "./servers.ts";
import { Link } from "./tcp-proxy.ts";
import { unlimited } from "./unlimited.ts";

/** Our services as processes, each behind cables of its own to everything it talks to. */

export interface Links {
  readonly nats: Link;
  readonly postgres: Link;
}

export interface Service {
  readonly kind: "billing" | "gateway" | "key-registry";
  readonly program: Program;
  readonly links: Links;
}

export interface Billing extends Service {
  readonly kind: "billing";
  readonly batches: BatchWatch;
}

export interface Gateway extends Service {
  readonly kind: "gateway";
  /** The machine it runs on; the workers of one machine can die together. */
  readonly host: string;
  readonly url: string;
  readonly spoolDir: string;
  readonly redis: Link;
}

export interface Fleet {
  readonly upstream: Program;
  /** Shared by all gateways, because a channel names one address. */
  readonly upstreamLink: Link;
  readonly journalFile: string;
  readonly keyRegistry: Service;
  readonly billings: readonly Billing[];
  readonly gateways: readonly Gateway[];
  /** The channel key that the gateways share. */
  readonly channelSecret: string;
}

export interface FleetOptions {
  readonly dataDir: string;
  readonly servers: Servers;
  readonly database: TestDatabase;
  readonly watchdog: Watchdog;
  readonly gatewayHosts: number;
  readonly workersPerHost: number;
  readonly billings: number;
  readonly leaseTtlMs: number;
  readonly spoolBytesMax: number;
  /** By service name: what its wall clock is off, milliseconds. */
  readonly clockSkewMs: (name: string) => number;
  /** Direct addresses of a cluster in place of the one server behind cables. */
  readonly natsUrls?: readonly string[];
}

const skewModule = path.join(import.meta.dirname, "skew-clock.mjs");

/** Builds everything; nothing runs yet. */
export async function buildFleet(options: FleetOptions): Promise<Fleet> {
  const channelSecret = runSecret();
  const journalFile = path.join(options.dataDir, "upstream-journal.jsonl");
  const upstreamPort = await freePort();
  const upstreamUrl = `http://127.0.0.1:${String(upstreamPort)}`;
  const upstream = program(
    options,
    "demo-upstream",
    "deploy/demo-upstream/dist/main.js",
    `${upstreamUrl}/_demo/journal`,
    {
      HOST: "127.0.0.1",
      PORT: String(upstreamPort),
      DEMO_FIRST_BYTE_MS: "15",
      DEMO_TOKENS_PER_SECOND: "1500",
      DEMO_SLOW_FIRST_BYTE_MS: "250",
      DEMO_SLOW_CHUNK_MS: "40",
      DEMO_JOURNAL_FILE: journalFile,
      DEMO_JOURNAL_FILE_BYTES_MAX: "10000000000",
    },
  );
  const secret = runSecret();
  const billings = await inTurn(options.billings, (index) => billing(options, `billing-${String(index + 1)}`, secret));
  const keyRegistry = await service(options, "key-registry", "key-registry", keysSchema, {});
  const workers = options.gatewayHosts * options.workersPerHost;
  const gateways = await inTurn(workers, (index) => {
    const host = `gateway-${String(1 + Math.floor(index / options.workersPerHost))}`;
    const name = options.workersPerHost === 1 ? host : `${host}.${String(1 + (index % options.workersPerHost))}`;
    return gateway(options, { name, host, channelSecret });
  });
  const upstreamLink = await Link.open("gateways→upstream", upstreamPort);
  return { upstream, upstreamLink, journalFile, keyRegistry, billings, gateways, channelSecret };
}

async function billing(options: FleetOptions, name: string, secret: string): Promise<Billing> {
  const built = await service(options, name, "billing-ledger", billingSchema, {
    BILLING_RECEIPT_KEY: secret,
    LEASE_TTL_MS: String(options.leaseTtlMs),
    USAGE_ROUND_MS: "250",
  });
  return { ...built, kind: "billing", batches: new BatchWatch(built.links.postgres) };
}

interface GatewayDraft {
  readonly name: string;
  readonly host: string;
  readonly channelSecret: string;
}

async function gateway(options: FleetOptions, draft: GatewayDraft): Promise<Gateway> {
  const spoolDir = path.join(options.dataDir, "spool", draft.name);
  mkdirSync(spoolDir, { recursive: true, mode: 0o700 });
  const { users } = options.servers;
  const redis = await Link.open(`${draft.name}→redis`, options.servers.redis.port);
  const port = await freePort();
  const built = await service(options, draft.name, "gateway-proxy", gatewaySchema, {
    HTTP_PORT: String(port),
    REDIS_URL: throughLink(users.as(gatewaySchema, "redis", options.servers.redis.url), redis),
    GATEWAY_CHANNEL_KEY: draft.channelSecret,
    GATEWAY_SPOOL_DIR: spoolDir,
    GATEWAY_SPOOL_MAX_BYTES: String(options.spoolBytesMax),
    ...unlimited,
    GATEWAY_FIRST_BYTE_TIMEOUT_MS: "5000",
    GATEWAY_BETWEEN_BYTES_TIMEOUT_MS: "5000",
  });
  const url = `http://127.0.0.1:${String(port)}`;
  return { ...built, kind: "gateway", host: draft.host, url, spoolDir, redis };
}

async function service(
  options: FleetOptions,
  name: string,
  folder: string,
  schema: Boundary["name"],
  more: Readonly<Record<string, string>>,
): Promise<Service> {
  const asUser = (url: string): string => options.servers.users.as(schema, "nats", url);
  const natsUrls = options.natsUrls?.map(asUser);
  const nats = await Link.open(`${name}→nats`, options.servers.nats.port);
  const postgres = await Link.open(`${name}→postgres`, options.servers.postgres.port);
  const adminPort = String(await freePort());
  const skewMs = options.clockSkewMs(name);
  const built = program(
    options,
    name,
    `services/${folder}/dist/main.js`,
    `http://127.0.0.1:${adminPort}/readyz`,
    {
      NODE_ENV: "test",
      LOG_LEVEL: "warn",
      HTTP_PORT: "0",
      ADMIN_PORT: adminPort,
      INSTANCE_ID: name,
      SHUTDOWN_GRACE_MS: "0",
      PUBLIC_ORIGIN: "http://localhost:8080",
      DATABASE_URL: throughLink(options.database.urlFor("app", schema), postgres),
      NATS_URL: natsUrls?.join(",") ?? throughLink(asUser(options.servers.nats.url), nats),
      ...(skewMs === 0 ? {} : { CHAOS_CLOCK_SKEW_MS: String(skewMs) }),
      ...more,
    },
    skewMs === 0 ? [] : ["--import", skewModule],
  );
  const kind = folder === "billing-ledger" ? "billing" : folder === "gateway-proxy" ? "gateway" : "key-registry";
  return { kind, program: built, links: { nats, postgres } };
}

function program(
  options: Pick<FleetOptions, "dataDir" | "watchdog">,
  name: string,
  entry: string,
  readyUrl: string,
  env: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
): Program {
  return new Program(
    {
      name,
      args: ["--enable-source-maps", ...flags, path.join(root, entry)],
      env: {
        ...passedEnvironment(),
        // As every deployment of ours sets it.
        NODE_COMPILE_CACHE: path.join(options.dataDir, "compile-cache"),
        ...env,
      },
      logFile: path.join(options.dataDir, "logs", `${name}.log`),
      readyUrl,
    },
    options.watchdog,
  );
}

/** The same URL, by way of the cable. */
export function throughLink(url: string, link: Link): string {
  const changed = new URL(url);
  changed.port = String(link.port);
  return changed.href;
}

async function inTurn<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  for (let index = 0; index < count; index += 1) made.push(await make(index));
  return made;
}
