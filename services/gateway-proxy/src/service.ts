import { connectBus } from "@codex/bus";
import { assertMigrated, openDb } from "@codex/db";
import { createBusSessionVerifier, createHttpApp, listen } from "@codex/http";
import { systemClock } from "@codex/kernel";
import type { RunningService, ServiceContext } from "@codex/runtime";
import { Redis } from "ioredis";
import { createHash } from "node:crypto";
import { Catalogue } from "./app/catalogue.ts";
import { KeyCache } from "./app/key-cache.ts";
import { Lender } from "./app/lender.ts";
import { republishChannels, type ChannelPorts } from "./app/manage-channels.ts";
import { RequestLimiter } from "./app/request-limiter.ts";
import {
  bookReader,
  channelPublisher,
  hearRecalls,
  keyResolver,
  leaseGranter,
  leaseReturner,
  watchBuckets,
} from "./bus/adapters.ts";
import type { GatewayConfig } from "./config.ts";
import { gatewayEvents, type GatewayEvents } from "./events.ts";
import { operatorRoutes } from "./http/operator/routes.ts";
import { BodyMemory } from "./http/v1/body-memory.ts";
import type { GatewayParts } from "./http/v1/context.ts";
import { createV1Handler, isProbe, isV1 } from "./http/v1/router.ts";
import { refuseWebSocket } from "./http/v1/upgrade.ts";
import { Metering } from "./metering.ts";
import { channelStore } from "./store/channel-store.ts";
import { gatewayMigrations } from "./store/migrations/index.ts";
import { redisWindow } from "./store/redis-window.ts";
import { gatewaySchema, type GatewayTables } from "./store/schema.ts";
import { TokenCounter } from "./tokens/token-counter.ts";
import { seal, unseal } from "./upstream/envelope.ts";
import { UpstreamClient } from "./upstream/openai.ts";

/** Builds and starts the gateway; the only file that constructs. */
export async function start(context: ServiceContext<GatewayConfig>): Promise<RunningService> {
  const { config, scope, logger, health, telemetry } = context;
  const events = gatewayEvents(logger, telemetry.meter);
  const db = openDb<GatewayTables>({
    url: config.databaseUrl,
    schema: gatewaySchema,
    applicationName: "gateway-proxy",
    connectionsMax: 4,
  });
  scope.defer("database", () => db.close());
  await assertMigrated(db, gatewaySchema, gatewayMigrations);
  const bus = await connectBus(
    { servers: config.natsServers, name: config.common.instanceId },
    { logger, source: "gateway-proxy" },
  );
  scope.defer("bus", () => bus.drain());
  health.addCheck("nats", () => bus.ping());

  const channelKey = createHash("sha256").update(config.channelKey.reveal()).digest();
  const channels: ChannelPorts = {
    store: channelStore(db),
    publisher: await channelPublisher(bus),
    seal: (secret, channelId) => seal(secret, channelKey, channelId),
  };
  await republishChannels(channels);

  const parts = await startHotPath(context, bus, events, channelKey);
  const { app } = createHttpApp({
    service: "gateway-proxy",
    routes: operatorRoutes(channels),
    sessions: createBusSessionVerifier(bus, config.publicOrigin),
    logger,
    publicOrigin: config.publicOrigin,
    trustedProxyCount: config.trustedProxyCount,
    production: config.common.nodeEnv === "production",
  });
  const v1 = createV1Handler(parts);
  const server = await listen(
    (req, res) => {
      if (isV1(req.url ?? "")) v1(req, res);
      else if (isProbe(req)) res.writeHead(200, { "content-length": 0 }).end();
      else app(req, res);
    },
    { host: config.common.httpHost, port: config.common.httpPort, onWebSocket: refuseWebSocket },
  );
  scope.defer("http", () => server.close());
  return { httpPort: server.port, httpUrl: `http://${config.common.httpHost}:${server.port}` };
}

async function startHotPath(
  context: ServiceContext<GatewayConfig>,
  bus: Awaited<ReturnType<typeof connectBus>>,
  events: GatewayEvents,
  channelKey: Buffer,
): Promise<GatewayParts> {
  const { config, scope, logger, health } = context;
  const clock = systemClock;
  const catalogue = new Catalogue(clock);
  const keys = new KeyCache({ resolve: keyResolver(bus), clock }, config.keyCacheBoundMs);
  await watchBuckets(bus, catalogue, keys, scope);
  health.addCheck("prices", () =>
    catalogue.priced ? Promise.resolve() : Promise.reject(new Error("no price book has arrived yet")),
  );

  const { metering, lender } = await startMoney(context, bus, events);
  const redis = new Redis(config.redisUrl, {
    commandTimeout: 50,
    connectTimeout: 1_000,
    maxRetriesPerRequest: 0,
    // Also of a connection that is down already, where it only delays the end of the process (2 s by default).
    disconnectTimeout: 250,
    enableOfflineQueue: false,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2_000),
  });
  redis.on("error", (error: unknown) => logger.debug("redis is not reachable", { error }));
  scope.defer("redis", () => redis.disconnect());
  const upstream = new UpstreamClient({
    firstByteTimeoutMs: config.firstByteTimeoutMs,
    betweenBytesTimeoutMs: config.betweenBytesTimeoutMs,
    connectTimeoutMs: 5_000,
    connectionsMax: 1_024,
  });
  scope.defer("upstream connections", () => upstream.close());
  const limiter = new RequestLimiter(
    { count: redisWindow(redis), onFallback: (error) => events.limiterFellBack(error), clock },
    config.requestsPerMinute,
  );
  const counter = new TokenCounter(1_000);
  scope.defer("token counter", () => counter.close());
  return {
    keys,
    books: bookReader(bus),
    counter,
    catalogue,
    lender,
    limiter,
    upstream,
    spool: () => metering.spool,
    unseal: (route) => unseal(route.sealedSecret ?? "", channelKey, route.channelId),
    events,
    logger,
    clock,
    bodyMemory: new BodyMemory(config.bodyMemoryBytes),
    times: { keepAliveMs: config.keepAliveMs, firstByteMs: config.firstByteTimeoutMs },
  };
}

/** What owes and what is owed: the spool with its publishers, and the leases that requests are admitted against. */
async function startMoney(
  { config, scope }: ServiceContext<GatewayConfig>,
  bus: Awaited<ReturnType<typeof connectBus>>,
  events: GatewayEvents,
): Promise<{ readonly metering: Metering; readonly lender: Lender }> {
  const clock = systemClock;
  const metering = await Metering.start({
    directory: config.spoolDirectory,
    bytesMax: config.spoolBytesMax,
    ageMaxMs: config.spoolAgeMaxMs,
    workerId: config.common.instanceId,
    bus,
    events,
    clock,
  });
  scope.defer("metering", () => metering.stop(), 8_000);
  const lender = new Lender({
    grant: leaseGranter(bus, () => metering.epoch),
    asked: (requestNo, accountId) => metering.spool.leaseAsked(requestNo, accountId),
    refused: (requestNo) => metering.spool.leaseRefused(requestNo),
    leaseGranted: (leaseId, accountId, requestNo) => metering.spool.leaseGranted(leaseId, accountId, requestNo),
    leaseClosed: (leaseId, accountId) => void metering.spool.leaseClosed(leaseId, accountId),
    giveBack: leaseReturner(bus, () => metering.epoch),
    clock,
  });
  await hearRecalls(bus, lender, scope);
  // Closes before the metering does: the closing of the leases travels in the spool.
  scope.defer("leases", () => void lender.closeAll());
  const sweeper = setInterval(() => lender.sweep(), 500);
  scope.defer("lease sweeper", () => clearInterval(sweeper));
  return { metering, lender };
}
