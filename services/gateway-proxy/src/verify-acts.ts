import { verifyActsCommand } from "@codex/db";
import { processEnvironment } from "@codex/runtime";
import { gatewaySchema } from "./store/schema.ts";

await verifyActsCommand({ service: "gateway-proxy", schema: gatewaySchema, url: processEnvironment()["DATABASE_URL"] });
