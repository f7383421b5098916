import { AppError } from "@codex/kernel";
import { Worker } from "node:worker_threads";
import type { BcryptAnswer, BcryptTask } from "./bcrypt-worker.ts";

/** A task without its number; the pool gives it one. */
type Ask =
  | { readonly kind: "hash"; readonly input: string; readonly cost: number }
  | { readonly kind: "verify"; readonly input: string; readonly hash: string }
  | { readonly kind: "strength"; readonly input: string; readonly words: readonly string[] };

interface Job {
  readonly ask: Ask;
  readonly resolve: (value: string | boolean | number) => void;
  readonly reject: (error: unknown) => void;
}

interface Lane {
  worker: Worker;
  job: Job | undefined;
}

/** Tasks that may wait; one more is refused (SEC-14). */
export const waitingMax = 50;

/**
 * As many threads as may hash at once. A thread that dies fails its task and is replaced. Beside the compiled worker in
 * an image, beside the source in development and tests.
 */
export class BcryptPool {
  private readonly lanes: Lane[];
  private readonly waiting: Job[] = [];
  private nextId = 1;
  private closed = false;

  constructor(threads: number) {
    this.lanes = Array.from({ length: threads }, () => ({ worker: this.spawn(), job: undefined }));
    for (const lane of this.lanes) this.attach(lane);
  }

  /** Rejects with AppError `overloaded` when {@link waitingMax} tasks wait already. */
  run(ask: Ask): Promise<string | boolean | number> {
    if (this.closed) return Promise.reject(new Error("the pool is closed"));
    if (this.waiting.length >= waitingMax) {
      return Promise.reject(
        new AppError({
          kind: "unavailable",
          code: "overloaded",
          publicMessage: "Too many people are signing in at the moment. Please try again in a few seconds.",
          retryAfterSeconds: 3,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ ask, resolve, reject });
      this.feed();
    });
  }

  /** Waiting and running tasks reject. */
  async close(): Promise<void> {
    this.closed = true;
    const running = this.lanes.flatMap((lane) => lane.job ?? []);
    for (const job of [...running, ...this.waiting.splice(0)]) job.reject(new Error("the pool is closed"));
    await Promise.all(this.lanes.map((lane) => lane.worker.terminate()));
  }

  private spawn(): Worker {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    return new Worker(new URL(`./bcrypt-worker.${extension}`, import.meta.url));
  }

  private attach(lane: Lane): void {
    lane.worker.on("message", (answer: BcryptAnswer) => {
      const { job } = lane;
      lane.job = undefined;
      if (answer.ok) job?.resolve(answer.value);
      else job?.reject(new Error(answer.message));
      this.feed();
    });
    lane.worker.on("error", (error) => this.replace(lane, error));
    lane.worker.on("exit", () => this.replace(lane, new Error("hashing thread ended")));
    lane.worker.unref();
  }

  private replace(lane: Lane, error: unknown): void {
    if (this.closed) return;
    lane.worker.removeAllListeners();
    lane.job?.reject(error);
    lane.job = undefined;
    lane.worker = this.spawn();
    this.attach(lane);
    this.feed();
  }

  private feed(): void {
    for (const lane of this.lanes) {
      if (lane.job) continue;
      const job = this.waiting.shift();
      if (!job) return;
      lane.job = job;
      const task: BcryptTask = { ...job.ask, id: this.nextId };
      this.nextId += 1;
      lane.worker.postMessage(task);
    }
  }
}
