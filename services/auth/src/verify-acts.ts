import { verifyActsCommand } from "@codex/db";
import { authSchema } from "./store/schema.ts";

await verifyActsCommand({ service: "auth", schema: authSchema, url: process.env["DATABASE_URL"] });
