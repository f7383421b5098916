import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";

/** One stored message, raw. */
export class RawMessage {
  private readonly message: JsMsg;

  constructor(message: JsMsg) {
    this.message = message;
  }

  get subject(): string {
    return this.message.subject;
  }

  /** In the stream, from 1. */
  get seq(): number {
    return this.message.seq;
  }

  get data(): Uint8Array {
    return this.message.data;
  }

  /** Number of this delivery for the consumer, from 1, without gaps. */
  get deliverySeq(): number {
    return this.message.info.deliverySequence;
  }

  /** When the stream took it, milliseconds since 1970. */
  get storedAtMs(): number {
    return new Date(this.message.timestamp).getTime();
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
    let timer: NodeJS.Timeout | undefined;
    const lingered = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, lingerMs, undefined);
    });
    while (batch.length < batchMax) {
      // A pull request that fails ends the batch like any other end: what is in hand must be handled, not thrown away.
      const more = await Promise.race([next.catch(() => undefined), lingered]);
      if (more === undefined || more.done === true) break;
      batch.push(new RawMessage(more.value));
      next = iterator.next();
    }
    clearTimeout(timer);
    // It may fail while the batch is handled, when nobody waits for it yet; the next turn sees it.
    next.catch(() => undefined);
    yield batch;
  }
}
