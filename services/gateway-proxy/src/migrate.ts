import { migrateCommand } from "@codex/db";
import { gatewayMigrations } from "./store/migrations/index.ts";
import { gatewaySchema } from "./store/schema.ts";

await migrateCommand({
  service: "gateway-proxy",
  schema: gatewaySchema,
  migrations: gatewayMigrations,
  ownerUrl: process.env["DATABASE_OWNER_URL"],
});
