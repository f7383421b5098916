export { authConfig, type AuthConfig } from "./config.ts";
export { start } from "./service.ts";
export { authMigrations } from "./store/migrations/index.ts";
export { authSchema } from "./store/schema.ts";
export { authRoutes } from "./http/routes.ts";
