import { execFile } from "node:child_process";
import path from "node:path";
import { passedEnvironment, root } from "./config.ts";

/** Bounded, because a run of hours leaves millions of rows. */
const timeout = 300_000;

/**
 * Billing's own audit of its books (`pnpm audit:ledger`), as a second opinion beside books.ts. Lines about what is broken, or
 * why it could not be found out; none when all is right.
 */
export function auditLedger(databaseUrl: string): Promise<readonly string[]> {
  const program = path.join(root, "services/billing-ledger/dist/audit.js");
  const env = { ...passedEnvironment(), NODE_ENV: "production", DATABASE_URL: databaseUrl };
  return new Promise((resolve) => {
    execFile(process.execPath, [program], { env, timeout, maxBuffer: 16_777_216 }, (error, output, complaints) => {
      if (error === null) {
        resolve([]);
        return;
      }
      const broken = brokenLines(output);
      resolve(broken.length > 0 ? broken : [`the audit could not be made: ${complaints.trim() || error.message}`]);
    });
  });
}

/** A line beginning with BROKEN, and the rows below it that break it. */
function brokenLines(output: string): string[] {
  const found: string[] = [];
  let inBroken = false;
  for (const line of output.split("\n")) {
    if (!line.startsWith(" ")) inBroken = line.startsWith("BROKEN");
    if (inBroken && line !== "") found.push(`audit: ${line.trim().replaceAll(/\s+/g, " ")}`);
  }
  return found.slice(0, 30);
}
