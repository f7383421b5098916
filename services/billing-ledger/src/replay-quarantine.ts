import { parseArgs } from "node:util";
import { openDb } from "@codex/db";
import { AppError } from "@codex/kernel";
import { ConfigError, loadConfig } from "@codex/runtime";
import type { AsideReason } from "./app/ports.ts";
import { replayQuarantine, type Replayed, type ReplayChoice } from "./app/replay-quarantine.ts";
import { environment, replayConfig } from "./config.ts";
import { createPriceStore } from "./store/price-store.ts";
import { createQuarantineStore } from "./store/quarantine-store.ts";
import { schema, type Tables } from "./store/schema.ts";
import { openWriterSession } from "./store/writer-session.ts";

/**
 * One-shot: `replay-quarantine.js --id <n> [--id <n> …] | --reason <reason>` books quarantined records whose reason is gone, each
 * exactly once, and prints one JSON line a record and one with the counts. The service may run meanwhile. Exit 0 (everything
 * that was chosen is booked), 2 (something stays in quarantine), 1 (failed), 64 (usage) or 78 (configuration).
 */

const reasons = [
  "unparseable",
  "unpriced",
  "misrouted",
  "rejected",
  "conflict",
  "unknown_epoch",
  "archived_epoch",
] as const satisfies readonly AsideReason[];
const idsMax = 1_000;

function readChoice(): ReplayChoice | undefined {
  try {
    const { values } = parseArgs({ options: { id: { type: "string", multiple: true }, reason: { type: "string" } } });
    const ids = values.id ?? [];
    if (ids.length > 0 && values.reason === undefined) {
      const numbers = ids.length <= idsMax && ids.every((id) => /^\d{1,18}$/.test(id));
      return numbers ? { ids: ids.map(BigInt) } : undefined;
    }
    const reason = reasons.find((known) => known === values.reason);
    return ids.length === 0 && reason !== undefined ? { reason } : undefined;
  } catch {
    return undefined;
  }
}

const print = (line: Readonly<Record<string, unknown>>): void => {
  const text = JSON.stringify(line, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
  process.stdout.write(`${text}\n`);
};

async function run(which: ReplayChoice): Promise<number> {
  const { databaseUrl } = loadConfig(replayConfig, environment());
  const name = "billing-ledger replay-quarantine";
  const db = openDb<Tables>({ url: databaseUrl, schema, applicationName: name, connectionsMax: 2 });
  try {
    const writer = await openWriterSession(db);
    try {
      const counts = { booked: 0, writtenOff: 0, left: 0 };
      const onReplayed = (replayed: Replayed): void => {
        if (replayed.outcome === "left") counts.left += 1;
        else counts.booked += 1;
        if (replayed.outcome === "booked" && replayed.writtenOff > 0n) counts.writtenOff += 1;
        print({ event: "record replayed", ...replayed });
      };
      const deps = { quarantine: createQuarantineStore(db), prices: createPriceStore(db), writer, onReplayed };
      await replayQuarantine(deps, which);
      print({ event: "quarantine replayed", ...counts });
      return counts.left > 0 ? 2 : 0;
    } finally {
      await writer.close();
    }
  } finally {
    await db.close();
  }
}

const choice = readChoice();
if (!choice) {
  process.stderr.write(`usage: replay-quarantine --id <n> [--id <n> …] | --reason ${reasons.join("|")}\n`);
  process.exitCode = 64;
} else {
  try {
    process.exitCode = await run(choice);
  } catch (error) {
    const known = error instanceof AppError || error instanceof ConfigError;
    process.stderr.write(`${known ? error.message : String(error)}\n`);
    process.exitCode = error instanceof ConfigError ? 78 : 1;
  }
}
