import { migrateCommand } from "@codex/db";
import { authMigrations } from "./store/migrations/index.ts";
import { authSchema } from "./store/schema.ts";

await migrateCommand({
  service: "auth",
  schema: authSchema,
  migrations: authMigrations,
  ownerUrl: process.env["DATABASE_OWNER_URL"],
});
