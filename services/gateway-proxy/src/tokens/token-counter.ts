import { Worker } from "node:worker_threads";
import type { CountAnswer, CountTask } from "./count-worker.ts";

/** Requests that may wait for a count; one more keeps its cheap bound. */
const waitingMax = 16;

/**
 * One thread that counts tokens for requests whose cheap bound does not fit the balance. It is started with the first
 * such request, and again when it died; an answer that is late or lost is `undefined`, and the cheap bound stands.
 */
export class TokenCounter {
  private readonly deadlineMs: number;
  private worker: Worker | undefined;
  private nextId = 1;
  private readonly waiting = new Map<number, (tokens: number | undefined) => void>();
  private closed = false;

  constructor(deadlineMs: number) {
    this.deadlineMs = deadlineMs;
  }

  /** Never rejects. */
  count(pieces: readonly string[]): Promise<number | undefined> {
    if (this.closed || this.waiting.size >= waitingMax) return Promise.resolve(undefined);
    this.worker ??= this.spawn();
    const id = this.nextId;
    this.nextId += 1;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.answer(id, undefined), this.deadlineMs);
      this.waiting.set(id, (tokens) => {
        clearTimeout(timer);
        resolve(tokens);
      });
      this.worker?.postMessage({ id, pieces } satisfies CountTask);
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const id of [...this.waiting.keys()]) this.answer(id, undefined);
    await this.worker?.terminate();
  }

  private spawn(): Worker {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const worker = new Worker(new URL(`./count-worker.${extension}`, import.meta.url));
    worker.unref();
    worker.on("message", ({ id, tokens }: CountAnswer) => this.answer(id, tokens));
    const gone = (): void => {
      if (this.worker !== worker) return;
      this.worker = undefined;
      for (const id of [...this.waiting.keys()]) this.answer(id, undefined);
    };
    worker.on("error", gone);
    worker.on("exit", gone);
    return worker;
  }

  private answer(id: number, tokens: number | undefined): void {
    this.waiting.get(id)?.(tokens);
    this.waiting.delete(id);
  }
}
