import { runService } from "@codex/runtime";
import { edgeConfig } from "./config.ts";
import { start } from "./service.ts";

await runService({ name: "dashboard", config: edgeConfig, start });
