import { verifyActsCommand } from "@codex/db";
import { schema } from "./store/schema.ts";

await verifyActsCommand({ service: "billing-ledger", schema, url: process.env["DATABASE_URL"] });
