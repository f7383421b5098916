import { connectBus, startOutboxRelay } from "@codex/bus";
import { assertMigrated, openDb, outboxSource } from "@codex/db";
import { createHttpApp, listen } from "@codex/http";
import { systemClock } from "@codex/kernel";
import type { RunningService, ServiceContext } from "@codex/runtime";
import { Redis } from "ioredis";
import type { AuthPorts } from "./app/ports.ts";
import { authRpcs } from "./bus/rpc.ts";
import type { AuthConfig } from "./config.ts";
import { BcryptPool } from "./crypto/bcrypt-pool.ts";
import { passwordHasher, pepperOf } from "./crypto/password-hasher.ts";
import { createTokenSigner } from "./crypto/token-signer.ts";
import { ownSessions } from "./http/own-sessions.ts";
import { authRoutes } from "./http/routes.ts";
import { accountStore } from "./store/account-store.ts";
import { authMigrations } from "./store/migrations/index.ts";
import { redisThrottle } from "./store/redis-throttle.ts";
import { authSchema, type AuthTables } from "./store/schema.ts";
import { sessionStore } from "./store/session-store.ts";

/** Builds and starts auth; the only file that constructs. */
export async function start(context: ServiceContext<AuthConfig>): Promise<RunningService> {
  const { config, scope, logger, health } = context;
  const db = openDb<AuthTables>({ url: config.databaseUrl, schema: authSchema, applicationName: "auth" });
  scope.defer("database", () => db.close());
  await assertMigrated(db, authSchema, authMigrations);
  health.addCheck("postgres", () => db.ping());
  const redis = openRedis(context);
  const bus = await connectBus(
    { servers: config.natsServers, name: config.common.instanceId },
    { logger, source: "auth" },
  );
  scope.defer("bus", () => bus.drain());
  health.addCheck("nats", () => bus.ping());

  const pool = new BcryptPool(config.hashThreads);
  scope.defer("hashing threads", () => pool.close());
  const previousPepper = config.previousPepper;
  const oldPeppers = previousPepper === undefined ? [] : [pepperOf(previousPepper.reveal())];
  const ports: AuthPorts = {
    accounts: accountStore(db, bus.encode.bind(bus)),
    sessions: sessionStore(db),
    hasher: passwordHasher({
      pool,
      peppers: [pepperOf(config.pepper.reveal()), ...oldPeppers],
      cost: config.bcryptCost,
    }),
    throttle: redisThrottle(redis, config.throttleKey.reveal()),
    clock: systemClock,
  };
  const previous = config.previousSigningSecret;
  const signer = await createTokenSigner(
    [config.signingSecret.reveal(), ...(previous === undefined ? [] : [previous.reveal()])],
    config.publicOrigin,
    systemClock,
  );
  const relay = await startOutboxRelay({ source: outboxSource(db), bus, logger });
  scope.defer("outbox relay", () => relay.stop());
  const description = "Browser sessions and the public keys that verify them";
  const rpc = await bus.serve({ name: "auth", version: "1.0.0", description }, authRpcs(ports, signer.jwks));
  scope.defer("rpc", () => rpc.stop());
  const { app } = createHttpApp({
    service: "auth",
    routes: authRoutes(ports, signer),
    sessions: ownSessions(ports, signer),
    logger,
    publicOrigin: config.publicOrigin,
    trustedProxyCount: config.trustedProxyCount,
    production: config.common.nodeEnv === "production",
  });
  const server = await listen(app, { host: config.common.httpHost, port: config.common.httpPort });
  scope.defer("http", () => server.close());
  return { httpPort: server.port, httpUrl: `http://${config.common.httpHost}:${server.port}` };
}

/** Commands fail fast and the throttle counts in memory meanwhile; signing in never waits for Redis. */
function openRedis({ config, scope, logger }: ServiceContext<AuthConfig>): Redis {
  const redis = new Redis(config.redisUrl, {
    commandTimeout: 250,
    connectTimeout: 1_000,
    // Also of a connection that is down already, where it only delays the end of the process (2 s by default).
    disconnectTimeout: 250,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2_000),
  });
  redis.on("error", (error: unknown) => logger.debug("redis is not reachable", { error }));
  scope.defer("redis", () => redis.disconnect());
  return redis;
}
