import { verifyActsCommand } from "@codex/db";
import { processEnvironment } from "@codex/runtime";
import { authSchema } from "./store/schema.ts";

await verifyActsCommand({ service: "auth", schema: authSchema, url: processEnvironment()["DATABASE_URL"] });
