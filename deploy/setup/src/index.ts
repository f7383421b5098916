export { schemas, setupConfig, type SetupConfig } from "./config.ts";
export { setUp } from "./setup.ts";
export { boundaries, redisRules, serverUsers, type Boundary } from "./boundary.ts";
export { deployedNatsConfig } from "./nats-config.ts";
