import { startHarness, type Harness } from "../../auth/tests/_harness.ts";
import { keyMigrations, keyRegistryConfig, keysSchema, start } from "../src/index.ts";

export function startKeyRegistry(): Promise<Harness> {
  return startHarness({
    name: "key-registry",
    schema: keysSchema,
    migrations: keyMigrations,
    config: keyRegistryConfig,
    start,
    settings: { KEY_REPAIR_INTERVAL_MS: "3600000" },
  });
}
