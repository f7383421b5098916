import type { StreamName } from "@codex/contracts";
import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import { PullLoop, type PullDeps } from "./pull.ts";
import { backoffMs, pause } from "./timing.ts";

/** One stored message, raw. Exactly one of `ack`, `nak`, `term` counts: the first. */
export interface BatchMessage {
  readonly subject: string;
  /** In the stream, from 1. */
  readonly seq: number;
  readonly data: Uint8Array;
  /** 0 on the first delivery. */
  readonly redeliveries: number;
  /** Done. Not durable: after a crash of the server the message may come again. */
  ack(): void;
  /** Deliver again, not before `delayMs`. */
  nak(delayMs: number): void;
  /** Never deliver again. */
  term(): void;
}

export interface FetchBatchesOptions {
  readonly stream: StreamName;
  readonly durable: string;
  /** The one subject or wildcard to take; ">" takes all. */
  readonly subject: string;
  /** Messages of one batch. */
  readonly batchMax: number;
  /** How long one pull request waits at the server; at least 1,000. */
  readonly expiresMs: number;
  readonly ackWaitMs: number;
  readonly maxAckPending: number;
  /** How long a batch that is not full waits for more after its first message; 10 by default. */
  readonly lingerMs?: number | undefined;
  /**
   * One call at a time. What it leaves unanswered when it throws is delivered again after a growing delay. Not called after
   * a stop: what arrives then is given back for another receiver to have at once.
   */
  readonly onBatch: (messages: readonly BatchMessage[]) => Promise<void>;
}

export class RawMessage implements BatchMessage {
  private readonly message: JsMsg;
  private answered = false;

  constructor(message: JsMsg) {
    this.message = message;
  }

  get subject(): string {
    return this.message.subject;
  }

  get seq(): number {
    return this.message.seq;
  }

  get data(): Uint8Array {
    return this.message.data;
  }

  get redeliveries(): number {
    return this.message.info.deliveryCount - 1;
  }

  /** Number of this delivery for the consumer, from 1, without gaps. */
  get deliverySeq(): number {
    return this.message.info.deliverySequence;
  }

  /** When the stream took it, RFC 3339. */
  get storedAt(): string {
    return this.message.timestamp;
  }

  get isAnswered(): boolean {
    return this.answered;
  }

  ack(): void {
    this.answered = true;
    this.message.ack();
  }

  nak(delayMs: number): void {
    this.answered = true;
    this.message.nak(delayMs);
  }

  term(): void {
    this.answered = true;
    this.message.term();
  }
}

/** Groups what arrives: a batch ends when it is full, when it lingered long enough, or when the pull request ended. */
export async function* batchesOf(
  messages: ConsumerMessages,
  batchMax: number,
  lingerMs: number,
): AsyncGenerator<RawMessage[]> {
  const iterator = messages[Symbol.asyncIterator]();
  let next = iterator.next();
  for (;;) {
    const first = await next;
    if (first.done === true) return;
    const batch = [new RawMessage(first.value)];
    next = iterator.next();
    const timer = new AbortController();
    const lingered = pause(lingerMs, timer.signal).then(() => undefined);
    while (batch.length < batchMax) {
      // A pull request that fails ends the batch like any other end: what is in hand must be handled, not thrown away.
      const more = await Promise.race([next.catch(() => undefined), lingered]);
      if (more === undefined || more.done === true) break;
      batch.push(new RawMessage(more.value));
      next = iterator.next();
    }
    timer.abort();
    // It may fail while the batch is handled, when nobody waits for it yet; the next turn sees it.
    next.catch(() => undefined);
    yield batch;
  }
}

function giveBack(batch: readonly RawMessage[], delayMs: number): void {
  for (const message of batch) if (!message.isAnswered) message.nak(delayMs);
}

async function giveBackToOthers(batch: readonly RawMessage[], loop: PullLoop): Promise<void> {
  await loop.withdrawn();
  giveBack(batch, 0);
}

/** The raw loop: no parsing, no dead letters, no order between batches of replicas. For consumers that commit many messages at once. */
export async function fetchBatches(deps: PullDeps, options: FetchBatchesOptions): Promise<{ stop(): Promise<void> }> {
  const { stream, durable, subject, batchMax, ackWaitMs, maxAckPending, lingerMs = 10 } = options;
  let failures = 0;
  const deliver = async (batch: readonly RawMessage[], loop: PullLoop): Promise<void> => {
    try {
      await options.onBatch(batch);
      failures = 0;
    } catch (error) {
      failures += 1;
      deps.logger.error("bus.batch.failed", { stream, name: durable, count: batch.length, attempt: failures, error });
      if (loop.isStopping) await giveBackToOthers(batch, loop);
      else giveBack(batch, backoffMs(failures, 100, 10_000));
    }
  };
  return PullLoop.start(deps, {
    spec: { stream, durable, filterSubjects: subject === ">" ? [] : [subject], ackWaitMs, maxAckPending },
    batchMax,
    expiresMs: options.expiresMs,
    onMessages: async (messages, loop) => {
      for await (const batch of batchesOf(messages, batchMax, lingerMs)) {
        if (loop.isStopping) await giveBackToOthers(batch, loop);
        else await deliver(batch, loop);
      }
    },
  });
}
