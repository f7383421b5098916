export { gatewayConfig, type GatewayConfig } from "./config.ts";
export { start } from "./service.ts";
export { gatewayMigrations } from "./store/migrations/index.ts";
export { gatewaySchema } from "./store/schema.ts";
export { operatorRoutes } from "./http/operator/routes.ts";
