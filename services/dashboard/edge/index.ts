export { createEdgeApp } from "./app.ts";
export { edgeConfig, type EdgeConfig } from "./config.ts";
export { edgeRoutes } from "./routes.ts";
export { start } from "./service.ts";
