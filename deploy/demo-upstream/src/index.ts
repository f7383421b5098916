export { DemoConfigError, readConfig, type DemoUpstreamConfig } from "./config.ts";
export type { JournalEntry, JournalPage } from "./journal.ts";
export { startDemoUpstream, type RunningDemoUpstream } from "./server.ts";
export * from "./usage.ts";
