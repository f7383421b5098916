import { freePort } from "@codex/testkit";
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { searchPath } from "./config.ts";
import type { BenchWorld } from "./world.ts";

const main = path.resolve(import.meta.dirname, "../../../services/billing-ledger/dist/main.js");

/** A real process of billing. */
export interface BillingProcess {
  readonly pid: number;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
}

export async function startBilling(world: BenchWorld): Promise<BillingProcess> {
  const adminPort = await freePort();
  // What it complains of while Postgres is killed is no line of the figures.
  const logFile = path.join(world.dataDir, "logs/billing.log");
  const log = openSync(logFile, "a", 0o600);
  const child = spawn(process.execPath, ["--enable-source-maps", main], {
    env: {
      PATH: searchPath(),
      NODE_ENV: "test",
      LOG_LEVEL: "error",
      // As every deployment of ours sets it.
      NODE_COMPILE_CACHE: path.join(world.dataDir, "compile-cache"),
      HTTP_PORT: String(await freePort()),
      ADMIN_PORT: String(adminPort),
      DATABASE_URL: world.appUrl,
      NATS_URL: world.servers.users.as("billing", "nats", world.servers.nats.url),
      PUBLIC_ORIGIN: "http://localhost:8080",
      BILLING_RECEIPT_KEY: randomBytes(36).toString("base64"),
    },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error("billing has no process");
  world.watchdog.watch(pid, "TERM");
  await untilReady(child, adminPort, logFile);
  return {
    pid,
    kill: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
      world.watchdog.forget(pid);
    },
  };
}

async function untilReady(child: ChildProcess, port: number, logFile: string): Promise<void> {
  const until = Date.now() + 60_000;
  while (Date.now() < until && child.exitCode === null) {
    const answer = await fetch(`http://127.0.0.1:${String(port)}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(
      () => undefined,
    );
    if (answer?.ok === true) return;
    await delay(50);
  }
  child.kill("SIGKILL");
  const said = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-5).join("\n");
  throw new Error(`billing did not become ready; its log ends:\n${said}`);
}
