import { verifyActsCommand } from "@codex/db";
import { keysSchema } from "./store/schema.ts";

await verifyActsCommand({ service: "key-registry", schema: keysSchema, url: process.env["DATABASE_URL"] });
