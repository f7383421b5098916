import { openDb } from "@codex/db";
import { AppError, systemClock } from "@codex/kernel";
import { ConfigError, loadConfig } from "@codex/runtime";
import { environment, rotateConfig } from "./config.ts";
import { createReceiptKeys } from "./crypto/receipt-signer.ts";
import { createReceiptKeyStore } from "./store/receipt-store.ts";
import { schema, type Tables } from "./store/schema.ts";

/**
 * One-shot: replaces the key that signs receipts now, whatever its age, and prints the new kid. The old public key stays
 * published. Running replicas follow within 30 s. Exit 0, 1 (failed) or 78 (configuration).
 */
try {
  const config = loadConfig(rotateConfig, environment());
  const db = openDb<Tables>({ url: config.databaseUrl, schema, applicationName: "rotate receipt key" });
  try {
    const store = createReceiptKeyStore(db);
    const { publicOrigin: issuer, receiptKey } = config;
    await createReceiptKeys({ store, secret: receiptKey.reveal(), issuer, clock: systemClock }).rotateIfOld(0);
    process.stdout.write(`${JSON.stringify({ event: "receipt_key_rotated", kid: (await store.current())?.kid })}\n`);
  } finally {
    await db.close();
  }
} catch (error) {
  const text = error instanceof AppError || error instanceof ConfigError ? error.message : String(error);
  process.stderr.write(`${text}\n`);
  process.exitCode = error instanceof ConfigError ? 78 : 1;
}
