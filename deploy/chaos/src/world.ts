import { connectBus, type Bus } from "@codex/bus";
import { grantCommand } from "@codex/contracts";
import { newId, type AccountId } from "@codex/kernel";
import { eventually, type TestDatabase } from "@codex/testkit";
import { chmodSync, mkdirSync, mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import pg from "pg";
import { infraDataFolders, removeInfraData } from "../../../libs/testkit/src/data-folder.ts";
import { startWatchdog, type Watchdog } from "../../../libs/testkit/src/watchdog.ts";
import { importPrices, insertChannel, insertCustomers, makeDatabase, type Customer } from "./database.ts";
import { mountSmallDisk, unmountSmallDisk } from "./disk-quota.ts";
import { buildFleet, type Fleet, type Gateway } from "./fleet.ts";
import { priceFile, upstreamNames } from "./models.ts";
import { startCluster, type NatsCluster } from "./nats-cluster.ts";
import { allServers, startServers, type Servers } from "./servers.ts";
import type { Link } from "./tcp-proxy.ts";

export interface WorldOptions {
  readonly gatewayHosts: number;
  readonly workersPerHost: number;
  readonly billings: number;
  readonly customers: number;
  readonly leaseTtlMs: number;
  readonly spoolBytesMax: number;
  /** Each spool on a disk of so many bytes, where that is possible; 0 = on the ordinary one. */
  readonly smallDiskBytes: number;
  readonly clockSkewMs: (name: string) => number;
  /** Three NATS servers with three copies of everything, in place of one. */
  readonly cluster: boolean;
  /** Public name → the upstream's, each priced as local mode's demo-small; those of the load unless told. */
  readonly models?: Readonly<Record<string, string>>;
  /** The folder stays, whatever happens. */
  readonly keep: boolean;
  /** Aborted, the start ends at its next step with everything stopped. */
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface World {
  readonly dataDir: string;
  readonly servers: Servers;
  readonly cluster: NatsCluster | undefined;
  readonly fleet: Fleet;
  /** The spools lie on small disks. */
  readonly smallDisks: boolean;
  readonly customers: readonly Customer[];
  readonly database: TestDatabase;
  /** As superuser, directly; the search path is billing. int8 comes as text. */
  readonly admin: pg.Pool;
  /** Our own connection to NATS, directly. */
  readonly bus: Bus;
  /** Micro-tokens that were granted, by account. */
  readonly granted: ReadonlyMap<string, bigint>;
  grant(accountId: AccountId, amount: bigint): Promise<void>;
  /** Every cable. */
  links(): readonly Link[];
  /** Every cable whole, every process continued and allowed to start; resolves when all are ready, at most `timeoutMs`. Names who is not. */
  heal(timeoutMs: number): Promise<readonly string[]>;
  /** Stops everything; the folder is removed unless `keep`. Idempotent. */
  stop(keep: boolean): Promise<void>;
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** The whole arrangement, seeded and ready. Throws with the end of a log when something does not start; nothing keeps running then. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), "codex-chaos-"));
  // mkdtemp makes it 0700; started by root, Postgres runs as another user, which must be able to pass through.
  chmodSync(dataDir, 0o711);
  mkdirSync(path.join(dataDir, "logs"), { mode: 0o700 });
  const watchdog = startWatchdog(options.keep ? [] : infraDataFolders(dataDir));
  const closers: (() => Promise<unknown>)[] = [];
  let stopping: Promise<void> | undefined;
  const stopAll = async (keep: boolean): Promise<void> => {
    for (const close of closers.reverse()) await close().catch(() => undefined);
    watchdog.release();
    if (!keep) removeInfraData(dataDir);
  };
  const stop = (keep: boolean): Promise<void> => (stopping ??= stopAll(keep));
  try {
    return await build(options, { dataDir, watchdog, closers, stop });
  } catch (error) {
    await stop(!options.signal.aborted);
    throw error;
  }
}

interface Place {
  readonly dataDir: string;
  readonly watchdog: Watchdog;
  readonly closers: (() => Promise<unknown>)[];
  readonly stop: (keep: boolean) => Promise<void>;
}

async function build(options: WorldOptions, place: Place): Promise<World> {
  const [{ dataDir, watchdog, closers, stop }, { models = upstreamNames }] = [place, options];
  const servers = await startServers(dataDir, watchdog, options.log);
  closers.push(() => Promise.all(allServers(servers).map((server) => server.stop())));
  options.signal.throwIfAborted();
  const cluster = options.cluster
    ? await startCluster(dataDir, watchdog, options.log, servers.users.server)
    : undefined;
  closers.push(async () => cluster?.stop());
  const natsUrls = cluster?.urls ?? [servers.nats.url];
  const bus = await connectBus(
    { servers: natsUrls, name: "chaos", ...(cluster === undefined ? {} : { replicas: 3 }) },
    { logger: quiet, source: "chaos" },
  );
  closers.push(() => bus.drain());
  await eventually(() => bus.ensureTopology().then(() => true), { timeoutMs: 30_000, what: "the streams" });
  options.signal.throwIfAborted();
  const database = await makeDatabase(servers.postgres.url);
  const admin = new pg.Pool({
    connectionString: database.adminUrl,
    max: 4,
    connectionTimeoutMillis: 2_000,
    query_timeout: 60_000,
    options: "-c search_path=billing",
  });
  admin.on("error", () => undefined);
  closers.push(() => admin.end());
  await importPrices(database, dataDir, priceFile(Object.keys(models)));
  options.signal.throwIfAborted();
  const fleet = await buildFleet({
    ...options,
    dataDir,
    servers,
    database,
    watchdog,
    ...(cluster === undefined ? {} : { natsUrls }),
  });
  const folders = fleet.gateways.map(({ spoolDir }) => spoolDir);
  closers.push(() => {
    folders.forEach(unmountSmallDisk);
    return Promise.resolve();
  });
  const smallDisks =
    options.smallDiskBytes > 0 && folders.every((folder) => mountSmallDisk(folder, options.smallDiskBytes));
  const links = allLinks(fleet);
  closers.push(() => Promise.all(links.map((link) => link.close())));
  await insertChannel(database, `http://127.0.0.1:${String(fleet.upstreamLink.port)}`, fleet.channelSecret, models);
  const customers = await insertCustomers(database, options.customers);
  closers.push(() => stopFleet(fleet));
  await startFleet(fleet);
  options.signal.throwIfAborted();
  const granted = new Map<string, bigint>();
  return {
    dataDir,
    servers,
    cluster,
    fleet,
    smallDisks,
    customers,
    database,
    admin,
    bus,
    granted,
    grant: (accountId, amount) => grant({ bus, admin, granted }, accountId, amount),
    links: () => links,
    heal: (timeoutMs) => heal(servers, cluster, fleet, links, timeoutMs),
    stop,
  };
}

async function startFleet({ upstream, keyRegistry, billings, gateways }: Fleet): Promise<void> {
  await Promise.all([upstream, keyRegistry.program, ...billings.map((one) => one.program)].map((one) => one.start()));
  await Promise.all(gateways.map(({ program }) => program.start()));
}

function allLinks(fleet: Fleet): readonly Link[] {
  const services = [fleet.keyRegistry, ...fleet.billings, ...fleet.gateways];
  return [
    ...services.flatMap(({ links }) => [links.nats, links.postgres]),
    ...fleet.gateways.map(({ redis }) => redis),
    fleet.upstreamLink,
  ];
}

/** Gateways first, so that they can still hand over what they have. */
async function stopFleet(fleet: Fleet): Promise<void> {
  await Promise.all(fleet.gateways.map(({ program }) => program.stop()));
  await Promise.all([fleet.keyRegistry, ...fleet.billings].map(({ program }) => program.stop()));
  await fleet.upstream.stop();
}

/** Stops the gateways in order. What they leave in their spools is named; nothing when all of it was confirmed. */
export async function retireGateways(gateways: readonly Gateway[]): Promise<void> {
  await Promise.all(gateways.map(({ program }) => program.stop()));
}

async function grant(
  deps: { readonly bus: Bus; readonly admin: pg.Pool; readonly granted: Map<string, bigint> },
  accountId: AccountId,
  amount: bigint,
): Promise<void> {
  const before = deps.granted.get(accountId) ?? 0n;
  await deps.bus.publish(grantCommand, {
    params: { accountId },
    data: {
      accountId,
      bucket: "paid",
      amountMicroTokens: amount,
      reason: "operator_grant",
      idempotencyKey: newId("evt"),
    },
  });
  deps.granted.set(accountId, before + amount);
}

async function heal(
  servers: Servers,
  cluster: NatsCluster | undefined,
  fleet: Fleet,
  links: readonly Link[],
  timeoutMs: number,
): Promise<readonly string[]> {
  for (const link of links) link.set({ kind: "pass" });
  for (const server of allServers(servers)) server.resume();
  await Promise.all(allServers(servers).map((server) => server.start()));
  await cluster?.heal();
  const programs = [
    fleet.upstream,
    ...[fleet.keyRegistry, ...fleet.billings, ...fleet.gateways].map((one) => one.program),
  ];
  for (const program of programs) {
    program.resume();
    program.release();
  }
  const ready = await Promise.all(programs.map((program) => program.untilReady(timeoutMs)));
  return programs.flatMap(({ name }, index) => (ready[index] === true ? [] : [name]));
}
