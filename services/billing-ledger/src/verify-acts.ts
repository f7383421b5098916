import { verifyActsCommand } from "@codex/db";
import { processEnvironment } from "@codex/runtime";
import { schema } from "./store/schema.ts";

await verifyActsCommand({ service: "billing-ledger", schema, url: processEnvironment()["DATABASE_URL"] });
