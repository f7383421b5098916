import { runService } from "@codex/runtime";
import { imageCacheConfig } from "./config.ts";
import { start } from "./service.ts";

await runService({ name: "image-cache", config: imageCacheConfig, start });
