export { config, type BillingConfig } from "./config.ts";
export { billingRoutes } from "./http/routes.ts";
export { start } from "./service.ts";
export { migrations } from "./store/migrations/index.ts";
export { schema } from "./store/schema.ts";
export type { BookableRecord } from "./app/ports.ts";
export type { Tables as BillingTables } from "./store/schema.ts";
export { openWriterSession } from "./store/writer-session.ts";
