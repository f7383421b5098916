import { migrateCommand } from "@codex/db";
import { bonusMigrations } from "./store/migrations/index.ts";
import { bonusSchema } from "./store/schema.ts";

await migrateCommand({
  service: "telegram-bonus",
  schema: bonusSchema,
  migrations: bonusMigrations,
  ownerUrl: process.env["DATABASE_OWNER_URL"],
});
