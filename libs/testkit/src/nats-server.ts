import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { startChild, stopOrphan, type ChildDeps, type ChildServer } from "./child-server.ts";
import { converse } from "./probe.ts";
import type { ServerProgram } from "./programs.ts";
import { natsAuthorization, type NatsUser } from "./server-users.ts";

export const natsUser = "codex";

export interface NatsServerOptions {
  readonly program: ServerProgram;
  /** Absolute; holds nats/, logs/ and pids/. */
  readonly dataDir: string;
  readonly port: number;
  /** Hex. */
  readonly password: string;
  /** Write through to the disk on every message, where the server knows how (2.10 and newer). */
  readonly durable: boolean;
  readonly users?: readonly NatsUser[];
}

/** One NATS server with JetStream on 127.0.0.1, one user. Throws ChildStartError. */
export async function startNatsServer(options: NatsServerOptions, deps: ChildDeps): Promise<ChildServer> {
  const folder = path.join(options.dataDir, "nats");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const configFile = path.join(folder, "server.conf");
  writeFileSync(configFile, natsConfig(options, folder), { mode: 0o600 });
  const spec = {
    name: "NATS",
    command: options.program.command,
    args: ["-c", configFile],
    logFile: path.join(options.dataDir, "logs/nats.log"),
    pidFile: path.join(options.dataDir, "pids/nats.json"),
    stopSignal: "TERM",
    stopTimeoutMs: 10_000,
    readyTimeoutMs: 30_000,
    ready: () => natsAnswers(options.port, options.password),
  } as const;
  await stopOrphan(spec, deps.log);
  return startChild(spec, deps);
}

export function natsUrl(port: number, password: string, host = "127.0.0.1"): string {
  return `nats://${natsUser}:${password}@${host}:${String(port)}`;
}

/** Signs in and asks for a PONG; JetStream must be on. */
export function natsAnswers(port: number, password: string, host = "127.0.0.1"): Promise<boolean> {
  const login = JSON.stringify({ verbose: false, user: natsUser, pass: password, name: "readiness" });
  return converse({
    port,
    host,
    greeting: /^INFO \{.*"jetstream":\s?true.*\r\n/s,
    say: `CONNECT ${login}\r\nPING\r\n`,
    expect: /\r\nPONG\r\n/,
  });
}

function natsConfig(options: NatsServerOptions, folder: string): string {
  const [major, minor] = options.program.version;
  // 2.9 refuses to start when it reads sync_interval; it syncs once a minute and cannot be told otherwise.
  const knowsSync = major > 2 || (major === 2 && minor >= 10);
  return `# Written at every start.
listen: "127.0.0.1:${String(options.port)}"
server_name: "codex-local"
jetstream {
  store_dir: ${JSON.stringify(folder)}
  max_file_store: 8589934592
  max_memory_store: 268435456
${options.durable && knowsSync ? "  sync_interval: always\n" : ""}}
${natsAuthorization(natsUser, options.password, options.users ?? [])}
`;
}
