import { migrateCommand } from "@codex/db";
import { imageMigrations } from "./store/migrations/index.ts";
import { imagesSchema } from "./store/schema.ts";

await migrateCommand({
  service: "image-cache",
  schema: imagesSchema,
  migrations: imageMigrations,
  ownerUrl: process.env["DATABASE_OWNER_URL"],
});
