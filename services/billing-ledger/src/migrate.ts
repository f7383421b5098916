import { migrate } from "@codex/db";
import { AppError } from "@codex/kernel";
import { ConfigError, loadConfig } from "@codex/runtime";
import { environment, migrateConfig } from "./config.ts";
import { migrations } from "./store/migrations/index.ts";
import { schema } from "./store/schema.ts";

/** One-shot: brings the schema up to date and prints what was applied, one JSON line. Exit 0, 1 (failed) or 78 (configuration). */
try {
  const { databaseOwnerUrl } = loadConfig(migrateConfig, environment());
  const { applied } = await migrate({ url: databaseOwnerUrl, schema, migrations });
  process.stdout.write(`${JSON.stringify({ event: "migrated", schema, applied })}\n`);
} catch (error) {
  const text = error instanceof AppError || error instanceof ConfigError ? error.message : String(error);
  process.stderr.write(`${text}\n`);
  process.exitCode = error instanceof ConfigError ? 78 : 1;
}
