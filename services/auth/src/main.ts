import { runService } from "@codex/runtime";
import { authConfig } from "./config.ts";
import { start } from "./service.ts";

await runService({ name: "auth", config: authConfig, start });
