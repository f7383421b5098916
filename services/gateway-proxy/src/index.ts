export { gatewayConfig, type GatewayConfig } from "./config.ts";
export { start } from "./service.ts";
export { gatewayMigrations } from "./store/migrations/index.ts";
export { gatewaySchema } from "./store/schema.ts";
export { v1Routes } from "./http/v1/router.ts";
export { operatorRoutes } from "./http/operator/routes.ts";
// The money half of a worker, which the deterministic simulation runs on a clock, a disk and a bus of its own (tests/simulation).
export { Lender } from "./app/lender.ts";
export { hearRecalls, leaseGranter, leaseReturner } from "./bus/adapters.ts";
export type { GatewayEvents } from "./events.ts";
export { Metering } from "./metering.ts";
// What goes onto the bus, for the benchmark of the ledger, which sends as a gateway does (deploy/bench-ledger).
export { envelopePayload } from "./spool/records.ts";
