import { readFile, stat } from "node:fs/promises";
import { priceBook } from "@codex/contracts";
import { openDb } from "@codex/db";
import { AppError } from "@codex/kernel";
import { ConfigError, loadConfig } from "@codex/runtime";
import { z } from "zod";
import { importPrices } from "./app/import-prices.ts";
import { environment, importConfig } from "./config.ts";
import { createPriceStore } from "./store/price-store.ts";
import { schema, type Tables } from "./store/schema.ts";

/**
 * One-shot: `import-prices.js <file.json>` makes the file's prices the version in force, unless they already are, and prints
 * one JSON line with the version. The file is `{"models": [ … ]}`, each as in the contract `modelPrice`: rates are strings of
 * micro-tokens per million model tokens. Exit 0, 1 (file or database), 64 (usage) or 78 (configuration).
 */
const priceFile = z.strictObject({ models: priceBook.shape.models });

const fileBytesMax = 2_000_000;

class BadFile extends Error {}

async function readPrices(path: string): Promise<z.output<typeof priceFile>["models"]> {
  const { size } = await stat(path);
  if (size > fileBytesMax) throw new BadFile(`${path}: larger than ${String(fileBytesMax)} bytes`);
  const parsed = priceFile.safeParse(JSON.parse(await readFile(path, "utf8")));
  if (parsed.success) return parsed.data.models;
  throw new BadFile(
    `${path}:\n${parsed.error.issues.map((issue) => `  ${issue.path.map(String).join(".")}: ${issue.message}`).join("\n")}`,
  );
}

async function run(path: string): Promise<void> {
  const { databaseUrl } = loadConfig(importConfig, environment());
  const models = await readPrices(path);
  const db = openDb<Tables>({
    url: databaseUrl,
    schema,
    applicationName: "billing-ledger import-prices",
    connectionsMax: 1,
  });
  try {
    const outcome = await importPrices(createPriceStore(db), models);
    if (!outcome.ok) throw new BadFile(`${path}:\n${outcome.problems.map((problem) => `  ${problem}`).join("\n")}`);
    process.stdout.write(
      `${JSON.stringify({ event: "prices imported", version: outcome.version, created: outcome.created })}\n`,
    );
  } finally {
    await db.close();
  }
}

const [path, ...others] = process.argv.slice(2);
if (path === undefined || others.length > 0) {
  process.stderr.write("usage: import-prices <file.json>\n");
  process.exitCode = 64;
} else {
  try {
    await run(path);
  } catch (error) {
    const known = error instanceof BadFile || error instanceof AppError || error instanceof ConfigError;
    process.stderr.write(`${known ? error.message : String(error)}\n`);
    process.exitCode = error instanceof ConfigError ? 78 : 1;
  }
}
