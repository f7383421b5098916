import { connectBus } from "@codex/bus";
import { assertMigrated, openDb } from "@codex/db";
import { createBusSessionVerifier, createHttpApp, listen } from "@codex/http";
import { systemClock, type Scope } from "@codex/kernel";
import type { RunningService, ServiceContext } from "@codex/runtime";
import { Redis } from "ioredis";
import { Catalogue } from "./app/catalogue.ts";
import { exchangeCounts, finishDrains, healthOf, type RoundPorts } from "./app/channel-rounds.ts";
import { KeyCache } from "./app/key-cache.ts";
import { Lender } from "./app/lender.ts";
import { canBePublished, republishChannels, type ChannelPorts } from "./app/manage-channels.ts";
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
import type { InsightPorts } from "./http/operator/insight-routes.ts";
import { BodyMemory } from "./http/v1/body-memory.ts";
import type { GatewayParts } from "./http/v1/context.ts";
import { createV1Handler, isProbe, isV1 } from "./http/v1/router.ts";
import { refuseWebSocket } from "./http/v1/upgrade.ts";
import { Metering } from "./metering.ts";
import { channelStore } from "./store/channel-store.ts";
import { gatewayMigrations } from "./store/migrations/index.ts";
import { redisChannelExchange } from "./store/redis-channel-exchange.ts";
import { redisWindow } from "./store/redis-window.ts";
import { gatewaySchema, type GatewayTables } from "./store/schema.ts";
import { TokenCounter } from "./tokens/token-counter.ts";
import { checkBaseUrl } from "./upstream/base-url.ts";
import { Envelopes } from "./upstream/envelope.ts";
import { testChannel } from "./upstream/test-channel.ts";
import { UpstreamClient } from "./upstream/transport.ts";

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

  const envelopes = new Envelopes({
    current: { version: config.channelKeyVersion, secret: config.channelKey.reveal() },
    previous: config.channelKeyPrevious?.reveal(),
  });
  const channels: ChannelPorts = {
    store: channelStore(db, canBePublished),
    publisher: await channelPublisher(bus),
    seal: (secret, channelId, keyId) => envelopes.seal(secret, { channelId, keyId }),
    rewrap: (channelId, key) => envelopes.rewrap(key, { channelId, keyId: key.keyId }),
    checkBaseUrl,
    masterKeyVersion: envelopes.version,
  };
  await republishChannels(channels);

  const redis = openRedis(context);
  const parts = await startHotPath(context, bus, events, envelopes, redis);
  const operators = startRounds(context, channels, parts, redis);
  const { app } = createHttpApp({
    service: "gateway-proxy",
    routes: operatorRoutes(operators),
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
  envelopes: Envelopes,
  redis: Redis,
): Promise<GatewayParts> {
  const { config, scope, logger, health } = context;
  const clock = systemClock;
  const catalogue = new Catalogue({
    open: ({ channelId }, key) => envelopes.open(key, { channelId, keyId: key.keyId }),
    onUnreadable: ({ channelId }, _key, error) => events.upstreamKeyUnreadable(channelId, error),
    clock,
  });
  const keys = new KeyCache({ resolve: keyResolver(bus), clock }, config.keyCacheBoundMs);
  await watchBuckets(bus, catalogue, keys, scope);
  health.addCheck("prices", () =>
    catalogue.priced ? Promise.resolve() : Promise.reject(new Error("no price book has arrived yet")),
  );

  const { metering, lender } = await startMoney(context, bus, events);
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
    firstByteTimeoutMs: config.firstByteTimeoutMs,
    bodyMemory: new BodyMemory(config.bodyMemoryBytes),
    keepAliveMs: config.keepAliveMs,
    events,
    logger,
    clock,
  };
}

function openRedis({ config, scope, logger }: ServiceContext<GatewayConfig>): Redis {
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
  return redis;
}

const exchangeEveryMs = 1_000;
const drainsEveryMs = 5_000;

/** The workers' talk about channels, and what operators may ask of them. */
function startRounds(
  { config, scope, logger }: ServiceContext<GatewayConfig>,
  channels: ChannelPorts,
  { catalogue, clock, upstream }: GatewayParts,
  redis: Redis,
): InsightPorts {
  const workerId = config.common.instanceId;
  const exchange = redisChannelExchange(redis, workerId, () => clock.now().getTime());
  const rounds: RoundPorts = { catalogue, exchange, channels, clock, workerId };
  // Without Redis each worker counts alone; the rate limiter tells of the outage.
  const say = (error: unknown): void => logger.debug("channels are counted locally", { error });
  const missed = (error: unknown): void => logger.warn("channels could not be looked after", { error });
  every(scope, "channel exchange", exchangeEveryMs, () => exchangeCounts(rounds).catch(say));
  every(scope, "channel drains", drainsEveryMs, () => finishDrains(rounds).catch(missed));
  return {
    ...channels,
    health: (channel) => healthOf(rounds, channel),
    test: async ({ channelId, model, ...order }) => {
      const channel = catalogue.channel(channelId);
      if (!channel) return undefined;
      const named = model ?? Object.keys(channel.snapshot.models)[0] ?? "";
      return testChannel(upstream, clock, { ...order, channel, model: named });
    },
  };
}

/** One run at a time: the next begins after the last has ended. `run` never rejects. The scope waits for a running one. */
function every(scope: Scope, name: string, ms: number, run: () => Promise<void>): void {
  let running: Promise<void> | undefined;
  const timer = setInterval(() => {
    running ??= run().finally(() => {
      running = undefined;
    });
  }, ms);
  scope.defer(name, async () => {
    clearInterval(timer);
    await running;
  });
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
