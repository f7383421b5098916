import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { openDb } from "@codex/db";
import { loadConfig } from "@codex/runtime";
import { z } from "zod";
import type { CheckResult } from "./app/audit-ports.ts";
import { sealDays, verifySeals } from "./app/seal-days.ts";
import type { Seal, SealStore } from "./app/seal-ports.ts";
import { auditTimeoutMs } from "./auditor.ts";
import { auditConfig, environment } from "./config.ts";
import { createAuditStore } from "./store/audit-store.ts";
import { createSealStore } from "./store/seal-store.ts";
import { schema, type Tables } from "./store/schema.ts";

/**
 * One-shot: the full audit, and every sealed day read again. One line a check, with the rows that break it. Reads only, so any
 * role that may read the schema will do. Exit 0 (the books are right), 1 (they are not) or 2 (it could not be found out).
 *
 *   --seals              print the chain as JSON lines instead, to be kept where the database's administrator cannot write
 *   --against <file>     also compare the chain with such a file
 *   --seal               first seal the days that are over (needs the service's role)
 */
const keptSeal = z.object({ day: z.iso.date(), hash: z.string().regex(/^[0-9a-f]{64}$/) });

function readKept(file: string): Pick<Seal, "day" | "hash">[] {
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new Error(`${file} holds no seal`);
  return lines.map((line) => keptSeal.parse(JSON.parse(line)));
}

function print(result: CheckResult): void {
  const verdict = result.offenders.length === 0 ? "ok    " : "BROKEN";
  const offenders = [...result.offenders, ...(result.more ? ["… and more"] : [])].map((row) => `         ${row}\n`);
  process.stdout.write(`${verdict}  ${result.id.padEnd(18)} ${result.says}\n${offenders.join("")}`);
}

async function audit(url: string, against: string | undefined, seal: boolean): Promise<number> {
  const kept = against === undefined ? [] : readKept(against);
  return withDb(url, async (db, seals) => {
    if (seal) process.stderr.write(`sealed ${String(await sealDays(seals))} days\n`);
    const report = await createAuditStore(db).run("full", undefined, false);
    if (report === undefined) throw new Error("the audit did not run");
    const results = [...report.results, ...(await verifySeals(seals, { kept }))];
    results.forEach((result) => print(result));
    return results.some((result) => result.offenders.length > 0) ? 1 : 0;
  });
}

async function printSeals(url: string): Promise<number> {
  return withDb(url, async (_db, seals) => {
    for (const seal of await seals.all()) process.stdout.write(`${JSON.stringify(seal)}\n`);
    return 0;
  });
}

async function withDb(
  url: string,
  run: (db: ReturnType<typeof openDb<Tables>>, seals: SealStore) => Promise<number>,
): Promise<number> {
  const db = openDb<Tables>({
    url,
    schema,
    applicationName: "billing-ledger audit program",
    connectionsMax: 1,
    statementTimeoutMs: auditTimeoutMs,
  });
  try {
    return await run(db, createSealStore(db));
  } finally {
    await db.close();
  }
}

try {
  const { values } = parseArgs({
    options: {
      seals: { type: "boolean", default: false },
      seal: { type: "boolean", default: false },
      against: { type: "string" },
    },
  });
  const { databaseUrl } = loadConfig(auditConfig, environment());
  process.exitCode = values.seals
    ? await printSeals(databaseUrl)
    : await audit(databaseUrl, values.against, values.seal);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
