import type { StreamName } from "@codex/contracts";
import { AckPolicy, DeliverPolicy, ReplayPolicy, type Consumer, type ConsumerMessages } from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import { batchesOf, type RawMessage } from "./batches.ts";
import { isMissingConsumer } from "./jetstream-errors.ts";
import type { PullDeps } from "./pull.ts";
import { ReadMarks, type ReadMark } from "./read-marks.ts";
import { backoffMs, pause, settled } from "./timing.ts";

/**
 * Glossary
 *   position  the number of the stream up to which the caller has handled everything; the caller keeps it, not the server
 *   opening   the consumer is made anew and begins behind the position; whoever read before under the same name has lost his
 *
 * For consumers that commit what they read together with their position: nothing is acknowledged, so nothing waits for an ack
 * wait when a reader dies, and nothing comes twice while it lives. Whatever goes wrong has one answer: open again.
 *
 * When the stream has lost its end, the newest handled message that still stands says how far the caller's work still counts.
 * A reader remembers what it has handled; what earlier readers had, the caller may have kept for it.
 */

export interface StreamState {
  /** When the stream was created, RFC 3339: numbers of another incarnation mean nothing. */
  readonly created: string;
  /** 0 as well when the stream was rewritten below what was handled: its numbers are others than they were. */
  readonly lastSeq: number;
  /**
   * The newest message that is known to have been handled and to stand where it stood, so that everything before it stands too; 0:
   * none is known. A position above `lastSeq` has to go back to this, or to where it is if that is lower.
   */
  readonly standing: number;
}

export interface ReadStreamOptions {
  readonly stream: StreamName;
  /** Of the consumer; one reader at a time has it. */
  readonly name: string;
  /** The one subject to take. */
  readonly subject: string;
  /** Messages of one batch. */
  readonly batchMax: number;
  /** How long one request waits at the server; at least 1,000. */
  readonly expiresMs: number;
  /** How long a batch that is not full waits for more after its first message. */
  readonly lingerMs: number;
  /**
   * What earlier readers have handled of the stream that was created then, oldest first; asked while this one has handled nothing.
   * Only what the caller has kept for good may be among them.
   */
  readonly recall?: (created: string) => Promise<readonly ReadMark[]>;
  /** Asked at every opening: the number after which to read. Rejects when this reader may not read; it is asked again later. */
  readonly position: (stream: StreamState) => Promise<number>;
  /** One call at a time, in the order of the stream. When it rejects, the reader opens again after a growing delay. */
  readonly onBatch: (messages: readonly ReadMessage[]) => Promise<void>;
}

export interface ReadMessage {
  readonly subject: string;
  /** In the stream, from 1. */
  readonly seq: number;
  /** When the stream took it, milliseconds since 1970: with `seq` a {@link ReadMark}. */
  readonly storedAtMs: number;
  readonly data: Uint8Array;
}

/** A reader that is gone for this long has its consumer removed by the server. */
const inactiveMs = 300_000;

/** What was read does not follow what was read before: messages were lost on their way. */
class ReadGap extends Error {}

class StreamReader {
  private readonly deps: PullDeps;
  private readonly options: ReadStreamOptions;
  private readonly stopping = new AbortController();
  private readonly unsubscribe: () => void;
  private readonly running: Promise<void>;
  private consumer: Consumer | undefined;
  private current: ConsumerMessages | undefined;
  private delivered = 0;
  private readonly marks = new ReadMarks();

  constructor(deps: PullDeps, options: ReadStreamOptions) {
    this.deps = deps;
    this.options = options;
    // A server that came back may have lost the end of its stream, or all of it: look before reading on.
    this.unsubscribe = deps.state.onReconnect(() => {
      this.consumer = undefined;
      void this.current?.close();
    });
    this.running = this.run();
  }

  private stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  /** Ends the batch under way. Idempotent, never rejects. */
  async stop(): Promise<void> {
    this.unsubscribe();
    this.stopping.abort();
    void this.current?.close();
    await settled(this.running);
  }

  private async run(): Promise<void> {
    const { logger, nc } = this.deps;
    const { stream, name, expiresMs } = this.options;
    let failures = 0;
    while (!this.stopped() && !nc.isClosed()) {
      try {
        await this.deps.state.ready(expiresMs, this.stopping.signal);
        this.consumer ??= await this.open();
        await this.readOnce(this.consumer);
        failures = 0;
      } catch (error) {
        this.consumer = undefined;
        if (this.stopped()) break;
        failures += 1;
        logger.warn("bus.read.failed", { stream, name, attempt: failures, error });
        await pause(backoffMs(failures, 50, 2_000), this.stopping.signal);
      }
    }
    if (this.consumer && !nc.isClosed()) {
      await this.deps.jsm.consumers.delete(stream, name).catch(() => undefined);
    }
  }

  private async open(): Promise<Consumer> {
    const { jsm, js } = this.deps;
    const { stream, name, subject } = this.options;
    const info = await jsm.streams.info(stream);
    if (this.marks.size === 0) {
      for (const mark of (await this.options.recall?.(info.created)) ?? []) this.marks.add(mark);
    }
    const firstSeq = info.state.first_seq;
    const isRewritten = await this.isRewritten(firstSeq);
    if (isRewritten) {
      this.deps.logger.error("bus.read.rewritten", { stream, name });
      // What was removed from the front was handled, and hides nothing.
      await this.marks.rewind(async (mark) => mark.seq < firstSeq || (await this.stands(mark)));
    }
    const position = await this.options.position({
      created: info.created,
      lastSeq: isRewritten ? 0 : info.state.last_seq,
      standing: this.marks.newest?.seq ?? 0,
    });
    this.marks.forgetAfter(position);
    await jsm.consumers.delete(stream, name).catch((error: unknown) => {
      if (!isMissingConsumer(error)) throw error;
    });
    const made = await jsm.consumers.add(stream, {
      durable_name: name,
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: position + 1,
      replay_policy: ReplayPolicy.Instant,
      filter_subject: subject,
      inactive_threshold: nanos(inactiveMs),
      max_deliver: -1,
    });
    this.delivered = 0;
    return js.consumers.getConsumerFromInfo(made);
  }

  /**
   * A server that lost the end of its stream gives the same numbers to new messages. When it has given out more than it lost
   * before we look, only the message itself tells: where the newest one that we handled stood, now stands another or none.
   */
  private async isRewritten(firstSeq: number): Promise<boolean> {
    const { newest } = this.marks;
    return newest !== undefined && firstSeq <= newest.seq && !(await this.stands(newest));
  }

  private async stands({ seq, storedAtMs }: ReadMark): Promise<boolean> {
    const stored = await this.deps.jsm.streams.getMessage(this.options.stream, { seq });
    return stored?.time.getTime() === storedAtMs;
  }

  private async readOnce(consumer: Consumer): Promise<void> {
    const { batchMax, expiresMs, lingerMs } = this.options;
    const messages = await consumer.fetch({ max_messages: batchMax, expires: expiresMs });
    this.current = messages;
    let isEmpty = true;
    try {
      for await (const batch of batchesOf(messages, batchMax, lingerMs)) {
        isEmpty = false;
        if (this.stopped()) return;
        this.checkOrder(batch);
        await this.options.onBatch(batch);
        const last = batch.at(-1);
        if (last) this.marks.add({ seq: last.seq, storedAtMs: last.storedAtMs });
      }
    } finally {
      this.current = undefined;
      void messages.close();
    }
    if (isEmpty && !this.stopped()) await this.checkNothingLost(consumer);
  }

  private checkOrder(batch: readonly RawMessage[]): void {
    for (const message of batch) {
      this.delivered += 1;
      if (message.deliverySeq !== this.delivered) throw new ReadGap("messages were lost on their way");
    }
  }

  /** After a silence: the consumer is still ours, and the server has sent nothing that did not arrive. */
  private async checkNothingLost(consumer: Consumer): Promise<void> {
    const info = await consumer.info();
    if (info.delivered.consumer_seq !== this.delivered)
      throw new ReadGap("another reader took over, or messages were lost");
  }
}

/** Reads for as long as it takes; everything that fails is tried again until `stop`. */
export function readStream(deps: PullDeps, options: ReadStreamOptions): { stop(): Promise<void> } {
  return new StreamReader(deps, options);
}
