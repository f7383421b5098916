import { readFile, stat } from "node:fs/promises";
import { parseArgs } from "node:util";
import { instant, priceFile, type PriceFile } from "@codex/contracts";
import { openDb } from "@codex/db";
import { AppError } from "@codex/kernel";
import { ConfigError, loadConfig } from "@codex/runtime";
import { importPrices } from "./app/import-prices.ts";
import { environment, importConfig } from "./config.ts";
import { createPriceStore } from "./store/price-store.ts";
import { schema, type Tables } from "./store/schema.ts";

/**
 * One-shot: `import-prices.js <file.json> [--at <instant>]` makes the file's prices the version in force, or the one that will
 * be from that instant on, unless they say what that time's version says already; prints one JSON line with the version. The
 * file is described in docs/prices.md; `--at` goes before its own `effectiveAt`. Exit 0, 1 (file or database), 64 (usage) or
 * 78 (configuration).
 */

const fileBytesMax = 2_000_000;

class BadFile extends Error {}

async function readPrices(path: string): Promise<PriceFile> {
  const { size } = await stat(path);
  if (size > fileBytesMax) throw new BadFile(`${path}: larger than ${String(fileBytesMax)} bytes`);
  const parsed = priceFile.safeParse(JSON.parse(await readFile(path, "utf8")));
  if (parsed.success) return parsed.data;
  throw new BadFile(
    `${path}:\n${parsed.error.issues.map((issue) => `  ${issue.path.map(String).join(".")}: ${issue.message}`).join("\n")}`,
  );
}

async function run(path: string, at: string | undefined): Promise<void> {
  const { databaseUrl } = loadConfig(importConfig, environment());
  const { models, groups, effectiveAt = null } = await readPrices(path);
  const when = at ?? effectiveAt;
  const db = openDb<Tables>({
    url: databaseUrl,
    schema,
    applicationName: "billing-ledger import-prices",
    connectionsMax: 1,
  });
  try {
    const outcome = await importPrices(createPriceStore(db), models, {
      groups,
      effectiveAt: when === null ? undefined : new Date(when),
    });
    if (!outcome.ok) throw new BadFile(`${path}:\n${outcome.problems.map((problem) => `  ${problem}`).join("\n")}`);
    const { version, created } = outcome;
    process.stdout.write(
      `${JSON.stringify({ event: "prices imported", version, created, effectiveAt: outcome.effectiveAt })}\n`,
    );
  } finally {
    await db.close();
  }
}

interface Arguments {
  readonly path: string;
  readonly at: string | undefined;
}

function readArguments(): Arguments | undefined {
  try {
    const { values, positionals } = parseArgs({ options: { at: { type: "string" } }, allowPositionals: true });
    const [path, ...others] = positionals;
    const at = values.at;
    if (path === undefined || others.length > 0) return undefined;
    return at === undefined || instant.safeParse(at).success ? { path, at } : undefined;
  } catch {
    return undefined;
  }
}

const args = readArguments();
if (!args) {
  process.stderr.write("usage: import-prices <file.json> [--at <RFC 3339 instant in UTC>]\n");
  process.exitCode = 64;
} else {
  try {
    await run(args.path, args.at);
  } catch (error) {
    const known = error instanceof BadFile || error instanceof AppError || error instanceof ConfigError;
    process.stderr.write(`${known ? error.message : String(error)}\n`);
    process.exitCode = error instanceof ConfigError ? 78 : 1;
  }
}
