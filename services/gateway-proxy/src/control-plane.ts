import { assertMigrated, listActs, openDb, watchActs } from "@codex/db";
import { createBusSessionVerifier, createHttpApp } from "@codex/http";
import type { Bus } from "@codex/bus";
import type { Scope } from "@codex/kernel";
import { actWatchEvents, type Logger, type ServiceContext } from "@codex/runtime";
import type { Cluster, Redis } from "ioredis";
import type { RequestListener } from "node:http";
import { exchangeCounts, finishDrains, healthOf, type RoundPorts } from "./app/channel-rounds.ts";
import { canBePublished, republishChannels, type ChannelPorts } from "./app/manage-channels.ts";
import { channelPublisher } from "./bus/adapters.ts";
import type { GatewayConfig } from "./config.ts";
import type { InsightPorts } from "./http/operator/insight-routes.ts";
import { operatorRoutes } from "./http/operator/routes.ts";
import type { GatewayParts } from "./http/v1/context.ts";
import { channelStore } from "./store/channel-store.ts";
import { gatewayMigrations } from "./store/migrations/index.ts";
import { redisChannelExchange } from "./store/redis-channel-exchange.ts";
import { redisAnswerMsMax, RedisTurns } from "./store/redis-turns.ts";
import { gatewaySchema, type GatewayTables } from "./store/schema.ts";
import { checkBaseUrl } from "./upstream/base-url.ts";
import type { Envelopes } from "./upstream/envelope.ts";
import { testChannel } from "./upstream/test-channel.ts";

/** What the hot path has built and the operators' half shares. */
export interface SharedParts {
  readonly bus: Bus;
  readonly envelopes: Envelopes;
  readonly parts: GatewayParts;
  readonly redis: Redis | Cluster;
}

/**
 * The operators' half of the gateway: the database of channels, and Express. Nothing of it is needed for a paid request, so it
 * is imported after the listener is open (docs/performance.md says what that saves). Its closers go on `scope`. Rejects when the
 * database does not answer or is not migrated.
 */
export async function startControlPlane(
  { config, logger, telemetry }: ServiceContext<GatewayConfig>,
  { bus, envelopes, parts, redis }: SharedParts,
  scope: Scope,
): Promise<RequestListener> {
  const db = openDb<GatewayTables>({
    url: config.databaseUrl,
    schema: gatewaySchema,
    applicationName: "gateway-proxy",
    connectionsMax: 4,
  });
  scope.defer("database", () => db.close());
  await assertMigrated(db, gatewaySchema, gatewayMigrations);
  const watch = watchActs(db, actWatchEvents(logger, telemetry.meter));
  scope.defer("audit log", () => watch.stop());
  const channels: ChannelPorts = {
    store: channelStore(db, canBePublished),
    publisher: await channelPublisher(bus),
    seal: (secret, channelId, keyId) => envelopes.seal(secret, { channelId, keyId }),
    rewrap: (channelId, key) => envelopes.rewrap(key, { channelId, keyId: key.keyId }),
    checkBaseUrl,
    masterKeyVersion: envelopes.version,
  };
  await republishChannels(channels);
  const operators = startRounds({ workerId: config.common.instanceId, scope, logger }, channels, parts, redis);
  const { app } = createHttpApp({
    service: "gateway-proxy",
    routes: operatorRoutes(operators, (filter, limit) => listActs(db, filter, limit)),
    sessions: createBusSessionVerifier(bus, config.publicOrigin),
    logger,
    publicOrigin: config.publicOrigin,
    trustedProxyCount: config.trustedProxyCount,
    production: config.common.nodeEnv === "production",
  });
  return app;
}

const exchangeEveryMs = 1_000;
const drainsEveryMs = 5_000;

/** The workers' talk about channels, and what operators may ask of them. */
function startRounds(
  { workerId, scope, logger }: { readonly workerId: string; readonly scope: Scope; readonly logger: Logger },
  channels: ChannelPorts,
  { catalogue, clock, upstream }: GatewayParts,
  redis: Redis | Cluster,
): InsightPorts {
  const exchange = redisChannelExchange(new RedisTurns(redis, redisAnswerMsMax), workerId, () => clock.now().getTime());
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
