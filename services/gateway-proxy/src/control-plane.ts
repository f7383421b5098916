import { assertMigrated, openDb } from "@codex/db";
import { createBusSessionVerifier, createHttpApp } from "@codex/http";
import type { Bus } from "@codex/bus";
import type { Scope } from "@codex/kernel";
import type { ServiceContext } from "@codex/runtime";
import type { RequestListener } from "node:http";
import { republishChannels, type ChannelPorts } from "./app/manage-channels.ts";
import { channelPublisher } from "./bus/adapters.ts";
import type { GatewayConfig } from "./config.ts";
import { operatorRoutes } from "./http/operator/routes.ts";
import { channelStore } from "./store/channel-store.ts";
import { gatewayMigrations } from "./store/migrations/index.ts";
import { gatewaySchema, type GatewayTables } from "./store/schema.ts";
import { seal } from "./upstream/envelope.ts";

/**
 * The operators' half of the gateway: the database of channels, and Express. Nothing of it is needed for a paid request, so it
 * is imported after the listener is open (docs/performance.md says what that saves). Its closers go on `scope`. Rejects when the
 * database does not answer or is not migrated.
 */
export async function startControlPlane(
  { config, logger }: ServiceContext<GatewayConfig>,
  bus: Bus,
  channelKey: Buffer,
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
  const channels: ChannelPorts = {
    store: channelStore(db),
    publisher: await channelPublisher(bus),
    seal: (secret, channelId) => seal(secret, channelKey, channelId),
  };
  await republishChannels(channels);
  const { app } = createHttpApp({
    service: "gateway-proxy",
    routes: operatorRoutes(channels),
    sessions: createBusSessionVerifier(bus, config.publicOrigin),
    logger,
    publicOrigin: config.publicOrigin,
    trustedProxyCount: config.trustedProxyCount,
    production: config.common.nodeEnv === "production",
  });
  return app;
}
