import { connectBus } from "@codex/bus";
import { assertMigrated, openDb } from "@codex/db";
import { createBusSessionVerifier, createHttpApp, listen } from "@codex/http";
import { systemClock } from "@codex/kernel";
import type { RunningService, ServiceContext } from "@codex/runtime";
import type { QuotaPorts } from "./app/read-quota.ts";
import { imageRpcs } from "./bus/rpc.ts";
import type { ImageCacheConfig } from "./config.ts";
import { imageRoutes } from "./http/routes.ts";
import { assetStore } from "./store/asset-store.ts";
import { imageMigrations } from "./store/migrations/index.ts";
import { imagesSchema, type ImageTables } from "./store/schema.ts";

/** Builds and starts the image cache; the only file that constructs. */
export async function start({
  config,
  scope,
  logger,
  health,
}: ServiceContext<ImageCacheConfig>): Promise<RunningService> {
  const db = openDb<ImageTables>({ url: config.databaseUrl, schema: imagesSchema, applicationName: "image-cache" });
  scope.defer("database", () => db.close());
  await assertMigrated(db, imagesSchema, imageMigrations);
  health.addCheck("postgres", () => db.ping());
  const bus = await connectBus(
    { servers: config.natsServers, name: config.common.instanceId },
    { logger, source: "image-cache" },
  );
  scope.defer("bus", () => bus.drain());
  health.addCheck("nats", () => bus.ping());

  const ports: QuotaPorts = { store: assetStore(db), clock: systemClock, bytesMax: config.accountBytesMax };
  const rpc = await bus.serve({ name: "image-cache", version: "1.0.0", description: "Image quotas" }, imageRpcs(ports));
  scope.defer("rpc", () => rpc.stop());
  const { app } = createHttpApp({
    service: "image-cache",
    routes: imageRoutes(ports),
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
