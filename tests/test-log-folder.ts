import path from "node:path";

/** What services said in the last run of the tests: warnings and errors, one file a worker (`testLogger` of the testkit). */
export const testLogFolder = path.resolve(import.meta.dirname, "../.codex/test-log");
