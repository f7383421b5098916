import { freePort } from "@codex/testkit";
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { searchPath } from "./config.ts";
import type { BenchWorld } from "./world.ts";

const main = path.resolve(import.meta.dirname, "../../../services/billing-ledger/src/main.ts");
const ticksPerSecond = 100;

/** A real process of billing. */
export interface BillingProcess {
  /** Seconds of CPU so far, and the resident memory in MB. */
  usage(): { cpuSeconds: number; rssMb: number };
  kill(): Promise<void>;
}

export async function startBilling(world: BenchWorld): Promise<BillingProcess> {
  const adminPort = await freePort();
  const child = spawn(process.execPath, ["--conditions=codex:source", "--no-warnings", main], {
    env: {
      PATH: searchPath(),
      NODE_ENV: "test",
      LOG_LEVEL: "error",
      HTTP_PORT: String(await freePort()),
      ADMIN_PORT: String(adminPort),
      DATABASE_URL: world.appUrl,
      NATS_URL: world.infra.natsUrl,
      PUBLIC_ORIGIN: "http://localhost:8080",
      BILLING_RECEIPT_KEY: randomBytes(36).toString("base64"),
    },
    stdio: ["ignore", "inherit", "inherit"],
  });
  await untilReady(child, adminPort);
  return {
    usage: () => {
      const fields =
        readFileSync(`/proc/${String(child.pid)}/stat`, "utf8")
          .split(") ")[1]
          ?.split(" ") ?? [];
      const cpuSeconds = (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
      return { cpuSeconds, rssMb: Math.round((Number(fields[21]) * 4_096) / 1_048_576) };
    },
    kill: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function untilReady(child: ChildProcess, port: number): Promise<void> {
  const until = Date.now() + 60_000;
  while (Date.now() < until && child.exitCode === null) {
    const answer = await fetch(`http://127.0.0.1:${String(port)}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(
      () => undefined,
    );
    if (answer?.ok === true) return;
    await delay(50);
  }
  child.kill("SIGKILL");
  throw new Error("billing did not become ready");
}
