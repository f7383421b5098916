import { migrateCommand } from "@codex/db";
import { keyMigrations } from "./store/migrations/index.ts";
import { keysSchema } from "./store/schema.ts";

await migrateCommand({
  service: "key-registry",
  schema: keysSchema,
  migrations: keyMigrations,
  ownerUrl: process.env["DATABASE_OWNER_URL"],
});
