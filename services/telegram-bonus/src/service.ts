import { connectBus } from "@codex/bus";
import { assertMigrated, openDb } from "@codex/db";
import { createBusSessionVerifier, createHttpApp, listen } from "@codex/http";
import type { RunningService, ServiceContext } from "@codex/runtime";
import { bonusRpcs } from "./bus/rpc.ts";
import type { TelegramBonusConfig } from "./config.ts";
import { bonusRoutes } from "./http/routes.ts";
import { referralStore } from "./store/referral-store.ts";
import { bonusMigrations } from "./store/migrations/index.ts";
import { bonusSchema, type BonusTables } from "./store/schema.ts";

/** Builds and starts telegram-bonus; the only file that constructs. */
export async function start({
  config,
  scope,
  logger,
  health,
}: ServiceContext<TelegramBonusConfig>): Promise<RunningService> {
  const db = openDb<BonusTables>({ url: config.databaseUrl, schema: bonusSchema, applicationName: "telegram-bonus" });
  scope.defer("database", () => db.close());
  await assertMigrated(db, bonusSchema, bonusMigrations);
  health.addCheck("postgres", () => db.ping());
  const bus = await connectBus(
    { servers: config.natsServers, name: config.common.instanceId },
    { logger, source: "telegram-bonus" },
  );
  scope.defer("bus", () => bus.drain());
  health.addCheck("nats", () => bus.ping());

  const store = referralStore(db);
  const rpc = await bus.serve(
    { name: "telegram-bonus", version: "1.0.0", description: "Referral codes" },
    bonusRpcs(store),
  );
  scope.defer("rpc", () => rpc.stop());
  const { app } = createHttpApp({
    service: "telegram-bonus",
    routes: bonusRoutes(store),
    sessions: createBusSessionVerifier(bus, config.publicOrigin),
    logger,
    publicOrigin: config.publicOrigin,
    trustedProxyCount: config.trustedProxyCount,
    production: config.common.nodeEnv === "production",
  });
  const server = await listen(app, { host: config.common.httpHost, port: config.common.httpPort });
  scope.defer("http", () => server.close());
  return { httpPort: server.port, httpUrl: `http://${config.common.httpHost}:${server.port}` };
}
