import { runService } from "@codex/runtime";
import { keyRegistryConfig } from "./config.ts";
import { start } from "./service.ts";

await runService({ name: "key-registry", config: keyRegistryConfig, start });
