import { verifyActsCommand } from "@codex/db";
import { processEnvironment } from "@codex/runtime";
import { keysSchema } from "./store/schema.ts";

await verifyActsCommand({ service: "key-registry", schema: keysSchema, url: processEnvironment()["DATABASE_URL"] });
