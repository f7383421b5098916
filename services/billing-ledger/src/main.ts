import { runService } from "@codex/runtime";
import { config } from "./config.ts";
import { start } from "./service.ts";

await runService({ name: "billing-ledger", config, start });
