import type { InProcessService } from "@codex/runtime";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A gateway under test, in this process or in one of its own. */
export interface GatewayHandle extends InProcessService {
  /** SIGKILL, and waits until the process is gone. Absent when it runs in this one. */
  kill?(): Promise<void>;
  /** Whether the process still runs. Absent when it is this one. */
  isAlive?(): boolean;
}

const startTimeoutMs = 20_000;
const alive = new Set<ChildProcess>();

/** For the end of a test file, also of one whose world did not come up: no gateway outlives it. */
export function killGatewayProcesses(): void {
  for (const child of alive) child.kill("SIGKILL");
}

/** Starts the gateway's main program as local mode does, and resolves when it says that it has started. */
export async function startGatewayProcess(
  program: string,
  settings: Readonly<Record<string, string>>,
): Promise<GatewayHandle> {
  const child = spawn(process.execPath, ["--conditions=codex:source", program], {
    env: { ...settings, LOG_LEVEL: "warn" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  alive.add(child);
  const exited = once(child, "exit").finally(() => alive.delete(child));
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
  };
  const started = await startedLine(child.stdout).catch(async (error: unknown) => {
    await end("SIGKILL");
    throw error;
  });
  // What it logs from now on is of no interest, but must not fill the pipe.
  child.stdout.resume();
  return {
    httpUrl: started.url,
    httpPort: started.port,
    adminPort: started.adminPort,
    closedOrder: [],
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    isAlive: () => child.exitCode === null && child.signalCode === null,
  };
}

interface StartedLine {
  readonly url: string;
  readonly port: number;
  readonly adminPort: number;
}

async function startedLine(output: NodeJS.ReadableStream): Promise<StartedLine> {
  const said: string[] = [];
  for await (const line of createInterface({ input: output, signal: AbortSignal.timeout(startTimeoutMs) })) {
    said.push(line);
    const message = JSON.parse(line) as Partial<StartedLine> & { readonly msg?: string; readonly event?: string };
    if ((message.msg ?? message.event) === "service started") return message as StartedLine;
  }
  throw new Error(`the gateway did not start:\n${said.join("\n")}`);
}
