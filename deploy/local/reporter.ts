import { appendFileSync, mkdirSync } from "node:fs";
import path from "node:path";
import { renderMessage } from "./render.ts";
import type { SupervisorMessage } from "./protocol.ts";
import { explain } from "./problem.ts";

/** Tells what happens: to the command that started us while it listens, and to the supervisor's log always. */
export class Reporter {
  private readonly logFile: string;

  constructor(logFile: string) {
    this.logFile = logFile;
    mkdirSync(path.dirname(logFile), { recursive: true });
  }

  tell(message: SupervisorMessage): void {
    this.send(message, () => undefined);
    this.log(message);
  }

  /** As {@link tell}; resolves when the message has left, so that the channel may be closed. */
  async last(message: SupervisorMessage): Promise<void> {
    this.log(message);
    await new Promise<void>((resolve) => this.send(message, resolve));
  }

  private send(message: SupervisorMessage, sent: () => void): void {
    if (process.connected && process.send !== undefined) process.send(message, undefined, undefined, () => sent());
    else sent();
  }

  private log(message: SupervisorMessage): void {
    const lines = renderMessage(message, { colour: false, replace: false });
    const stamp = new Date().toISOString();
    if (lines.length > 0)
      appendFileSync(this.logFile, lines.map((line) => `${stamp} ${line}\n`).join(""), { mode: 0o600 });
  }

  note(text: string): void {
    this.tell({ kind: "note", text });
  }

  /** Runs one step with its line and timer. A failure is told here, once, and thrown on. */
  async step<T>(
    name: string,
    run: () => Promise<{ readonly value: T; readonly detail: string; readonly extra?: readonly string[] }>,
  ): Promise<T> {
    const startedMs = performance.now();
    this.tell({ kind: "begin", step: name });
    try {
      const { value, detail, extra } = await run();
      this.tell({ kind: "done", step: name, detail, ms: performance.now() - startedMs, extra: [...(extra ?? [])] });
      return value;
    } catch (error) {
      if (!isAbort(error)) this.tell({ kind: "failed", step: name, lines: [...explain(error)] });
      throw error;
    }
  }
}

/** Thrown when the user stops a start in the middle: not a failure. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

export function isAbort(error: unknown): boolean {
  return error instanceof Interrupted || (error instanceof Error && error.name === "AbortError");
}
