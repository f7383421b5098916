import type { BusLogger } from "./logger.ts";
import type { OutgoingMessage } from "./publisher.ts";
import { backoffMs, pause } from "./timing.ts";

/** What the relay needs of a service's outbox; `outboxSource` of @codex/db fits. */
export interface OutboxSource {
  /**
   * Takes at most `limit` rows in order, has them published and then removes them, all or none. Answers how many. When
   * `publish` rejects, the rows stay.
   */
  process(limit: number, publish: (rows: readonly OutgoingMessage[]) => Promise<void>): Promise<number>;
  /** Calls back when rows were added; may miss some. Answers the unsubscriber. */
  listen(onNotify: () => void): Promise<() => Promise<void>>;
}

export interface OutboxRelayOptions {
  readonly source: OutboxSource;
  readonly bus: { publishRaw(rows: readonly OutgoingMessage[]): Promise<void> };
  readonly logger: BusLogger;
  /** Rows of one transaction; 200 by default. */
  readonly batchMax?: number | undefined;
  /** The floor under lost notifications; 1,000 by default. */
  readonly pollMs?: number | undefined;
}

export interface OutboxRelay {
  /** Ends after the batch under way; what is left stays in the outbox for the next start. Idempotent. */
  stop(): Promise<void>;
  /** Resolves when the outbox has been seen empty; rejects with the first failure. */
  flush(): Promise<void>;
}

const failureDelayMaxMs = 5_000;

class Relay implements OutboxRelay {
  private readonly options: OutboxRelayOptions;
  private readonly batchMax: number;
  private readonly stopping = new AbortController();
  /** One batch at a time in this process: rows go out in order. */
  private tail: Promise<unknown> = Promise.resolve();
  private nap = new AbortController();
  private unlisten: (() => Promise<void>) | undefined;
  private running: Promise<void> = Promise.resolve();

  constructor(options: OutboxRelayOptions) {
    this.options = options;
    this.batchMax = options.batchMax ?? 200;
  }

  async start(): Promise<void> {
    this.unlisten = await this.options.source.listen(() => {
      this.nap.abort();
    });
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.nap.abort();
    await this.running;
    const { unlisten } = this;
    this.unlisten = undefined;
    await unlisten?.();
  }

  async flush(): Promise<void> {
    while ((await this.processBatch()) === this.batchMax);
  }

  private processBatch(): Promise<number> {
    const { source, bus } = this.options;
    const batch = this.tail.then(() => source.process(this.batchMax, (rows) => bus.publishRaw(rows)));
    this.tail = batch.catch(() => undefined);
    return batch;
  }

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.stopping.signal.aborted) {
      // Renewed before looking: a notification that comes during the batch ends the sleep that follows.
      this.nap = new AbortController();
      const nap = AbortSignal.any([this.nap.signal, this.stopping.signal]);
      try {
        const count = await this.processBatch();
        failures = 0;
        if (count < this.batchMax) await pause(this.options.pollMs ?? 1_000, nap);
      } catch (error) {
        failures += 1;
        this.options.logger.warn("bus.outbox.failed", { attempt: failures, error });
        // Not woken by notifications: new rows do not bring the server back.
        await pause(backoffMs(failures, 100, failureDelayMaxMs), this.stopping.signal);
      }
    }
  }
}

/**
 * Moves rows from a service's outbox to the bus, at least once, in the order of the outbox as long as nothing fails. A row
 * is removed only after JetStream has acknowledged it; a copy after a crash is dropped by its message id.
 */
export async function startOutboxRelay(options: OutboxRelayOptions): Promise<OutboxRelay> {
  const relay = new Relay(options);
  await relay.start();
  return relay;
}
