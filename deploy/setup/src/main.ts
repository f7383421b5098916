import { ConfigError, createLogger, loadConfig, processEnvironment } from "@codex/runtime";
import { setupConfig } from "./config.ts";
import { setUp } from "./setup.ts";

try {
  await setUp(loadConfig(setupConfig, processEnvironment()), createLogger({ service: "setup", level: "info" }));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof ConfigError ? 78 : 1;
}
