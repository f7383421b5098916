export { schemas, setupConfig, type SetupConfig } from "./config.ts";
export { setUp } from "./setup.ts";
