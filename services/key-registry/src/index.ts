export { keyRegistryConfig, type KeyRegistryConfig } from "./config.ts";
export { start } from "./service.ts";
export { keyMigrations } from "./store/migrations/index.ts";
export { keysSchema } from "./store/schema.ts";
export { keyRoutes } from "./http/routes.ts";
