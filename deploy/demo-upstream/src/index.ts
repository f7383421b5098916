export { DemoConfigError, readConfig, type DemoUpstreamConfig } from "./config.ts";
export type { JournalEntry, JournalPage } from "./journal.ts";
export { startDemoUpstream, type RunningDemoUpstream } from "./server.ts";
export { tokenClasses, type TokenClasses } from "./token-classes.ts";
export * from "./usage.ts";
