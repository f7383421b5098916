import { connectBus, startOutboxRelay } from "@codex/bus";
import { assertMigrated, listActs, openDb, outboxSource, watchActs, type Db } from "@codex/db";
import { createBusSessionVerifier, createHttpApp, listen } from "@codex/http";
import { MasterKeys, systemClock } from "@codex/kernel";
import { actWatchEvents, type RunningService, type ServiceContext } from "@codex/runtime";
import { setTimeout as delay } from "node:timers/promises";
import type { KeyPorts } from "./app/manage-keys.ts";
import type { KeyVault } from "./app/ports.ts";
import { repairTombstones } from "./app/revoke-keys.ts";
import { keyRpcs } from "./bus/rpc.ts";
import { tombstoneBucket } from "./bus/tombstones.ts";
import type { KeyRegistryConfig } from "./config.ts";
import { keyEvents, type KeyEvents } from "./events.ts";
import { keyRoutes } from "./http/routes.ts";
import { keyStore } from "./store/key-store.ts";
import { forgetSealed, keyVault } from "./store/key-vault.ts";
import { keyMigrations } from "./store/migrations/index.ts";
import { keysSchema, type KeyTables } from "./store/schema.ts";

/** Builds and starts the key registry; the only file that constructs. */
export async function start({
  config,
  scope,
  logger,
  health,
  telemetry,
}: ServiceContext<KeyRegistryConfig>): Promise<RunningService> {
  const events = keyEvents(logger, telemetry.meter);
  const db = openDb<KeyTables>({ url: config.databaseUrl, schema: keysSchema, applicationName: "key-registry" });
  scope.defer("database", () => db.close());
  await assertMigrated(db, keysSchema, keyMigrations);
  health.addCheck("postgres", () => db.ping());
  const bus = await connectBus(
    { servers: config.natsServers, name: config.common.instanceId },
    { logger, source: "key-registry" },
  );
  scope.defer("bus", () => bus.drain());
  health.addCheck("nats", () => bus.ping());

  const ports: KeyPorts = {
    store: keyStore(db, bus.encode.bind(bus)),
    tombstones: await tombstoneBucket(bus),
    onTombstoneFault: (error) => events.tombstoneFault(error),
    brand: config.brand,
    clock: systemClock,
    vault: await openVault(db, config, events),
  };
  const relay = await startOutboxRelay({ source: outboxSource(db), bus, logger });
  scope.defer("outbox relay", () => relay.stop());
  const watch = watchActs(db, actWatchEvents(logger, telemetry.meter));
  scope.defer("audit log", () => watch.stop());
  const repair = repairRepeatedly(ports, events, config.repairIntervalMs);
  scope.defer("tombstone repair", () => repair.stop());

  const rpc = await bus.serve(
    { name: "key-registry", version: "1.0.0", description: "Who owns an API key" },
    keyRpcs(ports),
  );
  scope.defer("rpc", () => rpc.stop());
  const { app } = createHttpApp({
    service: "key-registry",
    routes: keyRoutes(ports, (filter, limit) => listActs(db, filter, limit)),
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

/** Where repeat display is off, nothing may be kept; where the master key was changed, nothing may stay under the one before. */
async function openVault(
  db: Db<KeyTables>,
  { display }: KeyRegistryConfig,
  events: KeyEvents,
): Promise<KeyVault | undefined> {
  if (!display) {
    events.sealedForgotten(await forgetSealed(db));
    return undefined;
  }
  const { key, version, previous, next } = display;
  const vault = keyVault(
    db,
    new MasterKeys({
      current: { version, secret: key.reveal() },
      previous: previous?.reveal(),
      next: next?.reveal(),
    }),
  );
  if (previous) events.dataKeysRewrapped(await vault.rewrap());
  return vault;
}

/** At once, and then with pauses between, never two at a time. `stop` resolves when the one under way has ended. */
function repairRepeatedly(ports: KeyPorts, events: KeyEvents, intervalMs: number): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      await repairTombstones(ports, signal).then(events.tombstonesRepaired, events.repairFault);
      await delay(intervalMs, undefined, { signal }).catch(() => undefined);
    }
  };
  const running = run();
  return {
    stop: () => {
      stopping.abort();
      return running;
    },
  };
}
