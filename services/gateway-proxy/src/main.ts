import { runService } from "@codex/runtime";
import { gatewayConfig } from "./config.ts";
import { start } from "./service.ts";

await runService({ name: "gateway-proxy", config: gatewayConfig, start });
