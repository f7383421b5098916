import { verifyActsCommand } from "@codex/db";
import { gatewaySchema } from "./store/schema.ts";

await verifyActsCommand({ service: "gateway-proxy", schema: gatewaySchema, url: process.env["DATABASE_URL"] });
