import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";

const fixture = fileURLToPath(new URL("fixtures/tiny-service.ts", import.meta.url));

export type Line = Readonly<Record<string, unknown>> & { readonly event: string };

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One running fixture; lines of standard output are parsed as they come. */
export class TinyProcess {
  readonly child: ChildProcess;
  readonly lines: Line[] = [];
  readonly exited: Promise<Exit>;
  output = "";
  stdout = "";
  stderr = "";
  private rest = "";
  private readonly waiting = new Set<() => void>();

  constructor(settings: Readonly<Record<string, string | undefined>>, args: readonly string[] = []) {
    this.child = spawn(process.execPath, ["--conditions=codex:source", fixture, ...args], {
      env: environment(settings),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.output += text;
      this.take(text);
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.output += text;
    });
    this.exited = new Promise((resolve) => {
      this.child.once("close", (code, signal) => {
        resolve({ code, signal });
      });
    });
  }

  /** The first line with this event, past or future. Rejects when the process ends or 20 s pass without it. */
  async line(event: string): Promise<Line> {
    const find = (): Line | undefined => this.lines.find((line) => line.event === event);
    let timer: NodeJS.Timeout | undefined;
    let wake: () => void = () => undefined;
    try {
      return await new Promise<Line>((resolve, reject) => {
        const fail = (why: string): void => {
          reject(new Error(`no line "${event}": ${why}\n${this.output}`));
        };
        wake = () => {
          const found = find();
          if (found) resolve(found);
        };
        this.waiting.add(wake);
        wake();
        timer = setTimeout(() => {
          fail("20 s passed");
        }, 20_000);
        void this.exited.then(() => {
          fail("the process ended");
        });
      });
    } finally {
      clearTimeout(timer);
      this.waiting.delete(wake);
    }
  }

  events(event: string): readonly Line[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** Names of what was closed, in order; needs LOG_LEVEL=debug. */
  closed(): readonly unknown[] {
    return this.events("closed").map((line) => line["name"]);
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  private take(text: string): void {
    const parts = (this.rest + text).split("\n");
    this.rest = parts.pop() ?? "";
    for (const part of parts) if (part.startsWith("{")) this.lines.push(JSON.parse(part) as Line);
    for (const wake of [...this.waiting]) wake();
  }
}

/** Only what the fixture needs: nothing of the environment of the test run leaks in. */
function environment(settings: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const all: Readonly<Record<string, string | undefined>> = {
    NODE_ENV: "test",
    LOG_LEVEL: "debug",
    HTTP_PORT: "0",
    ADMIN_PORT: "0",
    SHUTDOWN_GRACE_MS: "0",
    SESSION_SECRET: randomBytes(32).toString("hex"),
    HASH_SECRET: randomBytes(32).toString("hex"),
    ...settings,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
