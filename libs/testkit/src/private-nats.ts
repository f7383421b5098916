import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { prepareDataFolder } from "./data-folder.ts";
import { natsUrl, startNatsServer } from "./nats-server.ts";
import { freePort } from "./ports.ts";
import { findNats } from "./programs.ts";
import type { NatsUser } from "./server-users.ts";
import { startWatchdog } from "./watchdog.ts";

export interface PrivateNats {
  /** nats://user:password@127.0.0.1:port; the same over restarts. */
  readonly url: string;
  readonly port: number;
  /** Where its data and log are, until `stop`. */
  readonly dataDir: string;
  /** Stops the server and removes its data. Idempotent. */
  stop(): Promise<void>;
  /** SIGKILL, as a crash; the data stays for `restart`. */
  kill(): Promise<void>;
  /** Stops it (if it runs) and starts it on the same port with the same data. */
  restart(): Promise<void>;
}

/** A NATS server with JetStream for one test file: it may be killed without harm to others. */
export async function startNats(
  options: { readonly port?: number; readonly users?: readonly NatsUser[] } = {},
): Promise<PrivateNats> {
  const log = (): void => undefined;
  const program = await findNats({ log });
  const dataDir = mkdtempSync(path.join(os.tmpdir(), "codex-nats-"));
  prepareDataFolder(dataDir);
  const watchdog = startWatchdog([dataDir]);
  const port = options.port ?? (await freePort());
  const password = randomBytes(12).toString("hex");
  const { users = [] } = options;
  const start = () => startNatsServer({ program, dataDir, port, password, durable: false, users }, { watchdog, log });
  const cleanUp = (): void => {
    watchdog.release();
    rmSync(dataDir, { recursive: true, force: true });
  };
  let server = await start().catch((error: unknown) => {
    cleanUp();
    throw error;
  });
  return {
    url: natsUrl(port, password),
    port,
    dataDir,
    stop: async () => {
      await server.stop();
      cleanUp();
    },
    kill: () => server.kill(),
    restart: async () => {
      await server.stop();
      server = await start();
    },
  };
}
