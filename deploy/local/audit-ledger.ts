import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { passedEnvironment, readEnvironment } from "./config.ts";
import { pathsOf } from "./paths.ts";
import type { RunFile } from "./run-file.ts";

/**
 * `pnpm audit:ledger`: the audit program of billing-ledger on the running local system, or on `DATABASE_URL`. Arguments and exit
 * code are the program's: 0 the books are right, 1 they are not, 2 it could not be found out.
 */
const { root, given } = readEnvironment();
const { runFile } = pathsOf(root);

function databaseUrl(): string | undefined {
  if (given.postgresUrl !== undefined) return given.postgresUrl;
  if (!existsSync(runFile)) return undefined;
  return (JSON.parse(readFileSync(runFile, "utf8")) as RunFile).infra.postgresUrl;
}

const url = databaseUrl();
if (url === undefined) {
  process.stderr.write("Nothing is running here and DATABASE_URL is not set. Start the system first: npm start\n");
  process.exitCode = 2;
} else {
  const program = path.join(root, "services/billing-ledger/src/audit.ts");
  const run = spawnSync(process.execPath, ["--conditions=codex:source", program, ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...passedEnvironment(), NODE_ENV: "production", DATABASE_URL: url },
  });
  process.exitCode = run.status ?? 2;
}
