import { connectBus } from "@codex/bus";
import { provision } from "@codex/db";
import type { Logger } from "@codex/runtime";
import { schemas, type SetupConfig } from "./config.ts";

/** Makes what the services find: roles and schemas in Postgres, streams and buckets in NATS. Idempotent; never deletes. */
export async function setUp(config: SetupConfig, logger: Logger): Promise<void> {
  await provision(
    config.adminUrl,
    schemas.map((schema) => ({
      schema,
      ownerRole: `${schema}_owner`,
      ownerPassword: config.passwords[schema].owner.reveal(),
      appRole: `${schema}_app`,
      appPassword: config.passwords[schema].app.reveal(),
    })),
  );
  logger.info("roles and schemas are there", { count: schemas.length });
  const bus = await connectBus(
    { servers: config.natsServers, name: "setup", replicas: config.natsReplicas },
    { logger, source: "setup" },
  );
  try {
    await bus.ensureTopology();
  } finally {
    await bus.drain();
  }
  logger.info("streams and buckets are there");
}
