import { connectBus } from "@codex/bus";
import { listen } from "@codex/http/edge";
import { Scope, systemClock } from "@codex/kernel";
import { connectRedis, misfitTeller, type Cluster, type Redis } from "@codex/redis";
import type { RunningService, ServiceContext } from "@codex/runtime";
import type { RequestListener } from "node:http";
import { Catalogue } from "./app/catalogue.ts";
import { KeyCache } from "./app/key-cache.ts";
import { KeyUses } from "./app/key-uses.ts";
import { Lender } from "./app/lender.ts";
import { RequestLimiter } from "./app/request-limiter.ts";
import { UnknownKeys } from "./app/unknown-keys.ts";
import {
  bookReader,
  hearRecalls,
  keyReporter,
  keyResolver,
  leaseGranter,
  leaseReturner,
  useReporter,
  watchBuckets,
} from "./bus/adapters.ts";
import type { GatewayConfig } from "./config.ts";
import { gatewayEvents, type GatewayEvents } from "./events.ts";
import { BodyMemory } from "./http/v1/body-memory.ts";
import type { GatewayParts } from "./http/v1/context.ts";
import { readReportSigners } from "./http/v1/report-signers.ts";
import { createV1Handler, isProbe, isV1 } from "./http/v1/router.ts";
import { RealtimeSessions } from "./http/realtime/accept.ts";
import { Metering } from "./metering.ts";
import { redisLimits } from "./store/redis-limits.ts";
import { redisAnswerMsMax, RedisTurns } from "./store/redis-turns.ts";
import { TokenCounter } from "./tokens/token-counter.ts";
import { Envelopes } from "./upstream/envelope.ts";
import { opaqueUsers } from "./upstream/opaque-user.ts";
import { UpstreamClient } from "./upstream/transport.ts";

/** Builds and starts the gateway; the only file that constructs. */
export async function start(context: ServiceContext<GatewayConfig>): Promise<RunningService> {
  const { config, scope, logger, health, telemetry } = context;
  const events = gatewayEvents(logger, telemetry.meter);
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
  const tellMisfit = misfitTeller(context.config.redis.mode, context.logger, "limits are counted by each worker alone");
  const redis = openRedis(context, tellMisfit);
  const parts = await startHotPath(context, bus, events, envelopes, { redis, tellMisfit });
  const v1 = createV1Handler(parts);
  const realtime = new RealtimeSessions(parts, {
    sessionsMax: config.realtimeSessionsMax,
    idleMs: config.realtimeIdleMs,
    sessionMs: config.realtimeSessionMs,
  });
  const control = new Scope();
  scope.defer("control plane", () => control[Symbol.asyncDispose]());
  const operators = Promise.withResolvers<RequestListener>();
  // Whoever waits for it is answered by the end of the process.
  operators.promise.catch(() => undefined);
  const server = await listen(
    (req, res) => {
      if (isV1(req.url ?? "")) v1(req, res);
      else if (isProbe(req)) res.writeHead(200, { "content-length": 0 }).end();
      else void operators.promise.then((app) => app(req, res)).catch(() => req.socket.destroy());
    },
    { host: config.common.httpHost, port: config.common.httpPort, onWebSocket: realtime.accept },
  );
  scope.defer("http", () => server.close());
  // The server does not know of them any more, and would wait for their sockets.
  scope.defer("realtime sessions", () => realtime.close(), 8_000);
  // Paid requests are served by now; what follows costs as much again.
  try {
    const { startControlPlane } = await import("./control-plane.ts");
    operators.resolve(await startControlPlane(context, { bus, envelopes, parts, redis }, control));
  } catch (error) {
    operators.reject(error);
    throw error;
  }
  return { httpPort: server.port, httpUrl: `http://${config.common.httpHost}:${server.port}` };
}

async function startHotPath(
  context: ServiceContext<GatewayConfig>,
  bus: Awaited<ReturnType<typeof connectBus>>,
  events: GatewayEvents,
  envelopes: Envelopes,
  limits: Parameters<typeof startLimiter>[2],
): Promise<GatewayParts> {
  const { config, scope, logger, health } = context;
  const clock = systemClock;
  const catalogue = new Catalogue({
    open: ({ channelId }, key) => envelopes.open(key, { channelId, keyId: key.keyId }),
    onUnreadable: ({ channelId }, _key, error) => events.upstreamKeyUnreadable(channelId, error),
    clock,
  });
  const unknownKeys = new UnknownKeys(config.unknownKeysPerMinute, clock);
  const keys = new KeyCache({ resolve: keyResolver(bus), unknownKeys, clock }, config.keyCacheBoundMs);
  await watchBuckets(bus, catalogue, keys, scope);
  const checker = setInterval(() => keys.checkRunning(), checkRunningEveryMs);
  scope.defer("keys of running requests", () => clearInterval(checker));
  health.addCheck("prices", () =>
    catalogue.priced ? Promise.resolve() : Promise.reject(new Error("no price book has arrived yet")),
  );

  const { metering, lender } = await startMoney(context, bus, events);
  const upstream = new UpstreamClient({
    firstByteTimeoutMs: config.firstByteTimeoutMs,
    betweenBytesTimeoutMs: config.betweenBytesTimeoutMs,
    connectTimeoutMs: 5_000,
    connectionsMax: config.upstreamConnectionsMax,
  });
  scope.defer("upstream connections", () => upstream.close());
  const limiter = startLimiter(context, events, limits);
  const counter = new TokenCounter(1_000);
  scope.defer("token counter", () => counter.close());
  return {
    keys,
    keyUses: startUseReports(bus, context),
    keyReports: {
      report: keyReporter(bus),
      reports: new UnknownKeys(config.keyReportsPerMinute, clock),
      signers: config.keyReportSignersFile === undefined ? new Map() : readReportSigners(config.keyReportSignersFile),
    },
    books: bookReader(bus, systemClock),
    counter,
    catalogue,
    lender,
    limiter,
    trustedProxyCount: config.trustedProxyCount,
    upstream,
    opaqueUser: opaqueUsers(config.channelKey.reveal()),
    spool: () => metering.spool,
    firstByteTimeoutMs: config.firstByteTimeoutMs,
    bodyMemory: new BodyMemory(config.bodyMemoryBytes),
    keepAliveMs: config.keepAliveMs,
    events,
    logger,
    clock,
  };
}

const checkRunningEveryMs = 1_000;
const reportUsesEveryMs = 10_000;

/** Nothing depends on it: a registry that is away is told later, and only the log of debugging hears of it. */
function startUseReports(
  bus: Awaited<ReturnType<typeof connectBus>>,
  { scope, logger }: Pick<ServiceContext<GatewayConfig>, "scope" | "logger">,
): KeyUses {
  const uses = new KeyUses(systemClock);
  const report = useReporter(bus);
  let running: Promise<void> | undefined;
  const timer = setInterval(() => {
    running ??= uses
      .flush(report)
      .catch((error: unknown) => logger.debug("the last use of keys could not be told", { error }))
      .finally(() => {
        running = undefined;
      });
  }, reportUsesEveryMs);
  scope.defer("reports of key use", async () => {
    clearInterval(timer);
    await running;
  });
  return uses;
}

function startLimiter(
  { config, scope }: ServiceContext<GatewayConfig>,
  events: GatewayEvents,
  { redis, tellMisfit }: { readonly redis: Redis | Cluster; readonly tellMisfit: (error: unknown) => void },
): RequestLimiter {
  const leaseMs = config.slotLeaseMs;
  const limiter = new RequestLimiter(
    {
      store: redisLimits(new RedisTurns(redis, redisAnswerMsMax), { workerId: config.common.instanceId, leaseMs }),
      clock: systemClock,
      onInsurance: () => events.limitedAlone(),
      onAway: (error) => {
        tellMisfit(error);
        events.limiterAway(error);
      },
      onBack: () => events.limiterBack(),
    },
    config.limits,
  );
  // Whether the first connection is there already is a matter of chance.
  void limiter.tick();
  redis.on("ready", () => void limiter.tick());
  const ticking = setInterval(() => void limiter.tick(), leaseMs / 3);
  scope.defer("limits", () => clearInterval(ticking));
  return limiter;
}

function openRedis(
  { config, scope, logger }: ServiceContext<GatewayConfig>,
  tellMisfit: (error: unknown) => void,
): Redis | Cluster {
  const redis = connectRedis(config.redis);
  redis.on("error", (error: unknown) => {
    logger.debug("redis is not reachable", { error });
    tellMisfit(error);
  });
  scope.defer("redis", () => redis.disconnect());
  return redis;
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
  await hearRecalls(bus, lender, () => metering.epoch, scope);
  // Closes before the metering does: the closing of the leases travels in the spool.
  scope.defer("leases", () => void lender.closeAll());
  const sweeper = setInterval(() => lender.sweep(), 500);
  scope.defer("lease sweeper", () => clearInterval(sweeper));
  return { metering, lender };
}
