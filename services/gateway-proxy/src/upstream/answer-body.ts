/**
 * The body of an upstream's answer, for one reader, as an async iterable of pieces. What has come since the reader last looked is
 * one piece: a server that writes a hundred events in a row sends them in a few packets, and each piece has its price all the way
 * to the client. What is not read yet is bounded: the connection is paused above {@link unreadBytesMax}. Made for `dispatch` of
 * undici, whose `request` answers a Readable that costs as much as the call itself.
 */

/** Of the connection: the part of undici's controller that a body needs. */
export interface BodySource {
  pause(): void;
  resume(): void;
  abort(reason: Error): void;
}

const unreadBytesMax = 65_536;
/** Of what nobody wants any more: the end of a transfer fits, an answer without an end does not. */
const discardedBytesMax = 65_536;
const discardedMsMax = 1_000;

interface Reader {
  resolve(more: boolean): void;
  reject(error: unknown): void;
}

export class AnswerBody implements AsyncIterable<Buffer> {
  private readonly source: BodySource;
  private pieces: Buffer[] = [];
  private unreadBytes = 0;
  private paused = false;
  private ended = false;
  private failure: Error | undefined;
  private reader: Reader | undefined;
  private discarding: { readonly bytesMax: number; readonly timer: NodeJS.Timeout; bytes: number } | undefined;

  constructor(source: BodySource) {
    this.source = source;
  }

  /** Of the connection. */
  push(piece: Buffer): void {
    if (this.isOver) return;
    const { reader, discarding } = this;
    if (discarding) {
      discarding.bytes += piece.length;
      if (discarding.bytes > discarding.bytesMax) this.destroy();
      return;
    }
    this.pieces.push(piece);
    this.unreadBytes += piece.length;
    if (reader) {
      this.reader = undefined;
      reader.resolve(true);
    }
    if (this.unreadBytes <= unreadBytesMax || this.paused) return;
    this.paused = true;
    this.source.pause();
  }

  /** Of the connection: it was all. */
  finish(): void {
    if (this.isOver) return;
    this.ended = true;
    this.settle();
    this.reader?.resolve(false);
    this.reader = undefined;
  }

  /** Of the connection: it broke off. What has come can still be read. */
  fail(error: Error): void {
    if (this.isOver) return;
    this.failure = error;
    this.settle();
    this.reader?.reject(error);
    this.reader = undefined;
  }

  /** Nothing more will come: it is whole, broken off, or was destroyed. */
  get isOver(): boolean {
    return this.ended || this.failure !== undefined;
  }

  /** All that has come and is not read, without the cost of a promise; undefined says nothing of the end. */
  take(): Buffer | undefined {
    if (this.pieces.length === 0) return undefined;
    const pieces = this.handOver();
    return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
  }

  /** True when there is something to take, false at the end. Rejects with what broke it off. One call at a time. */
  more(): Promise<boolean> {
    if (this.pieces.length > 0) return Promise.resolve(true);
    if (this.failure) return Promise.reject(this.failure);
    if (this.ended) return Promise.resolve(false);
    return new Promise((resolve, reject) => {
      this.reader = { resolve, reject };
    });
  }

  /** All that is left; undefined, and the connection is closed, when it is more than `bytesMax`. Rejects with what broke it off. */
  async all(bytesMax: number): Promise<Buffer | undefined> {
    const pieces: Buffer[] = [];
    let size = 0;
    while (this.pieces.length > 0 || (await this.more())) {
      for (const piece of this.handOver()) {
        size += piece.length;
        if (size > bytesMax) {
          this.destroy();
          return undefined;
        }
        pieces.push(piece);
      }
    }
    return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    try {
      while (await this.more()) {
        const piece = this.take();
        if (piece) yield piece;
      }
    } finally {
      this.destroy();
    }
  }

  private handOver(): readonly Buffer[] {
    const { pieces } = this;
    this.pieces = [];
    this.unreadBytes = 0;
    if (this.paused && !this.isOver) {
      this.paused = false;
      this.source.resume();
    }
    return pieces;
  }

  /** Closes the connection unless the body is over; who reads gets the error. Idempotent. */
  destroy(error: Error = new Error("the answer was not wanted any more")): void {
    if (this.isOver) return;
    this.fail(error);
    this.source.abort(error);
  }

  /**
   * Nobody reads on. The connection serves another request when the rest comes within `msMax` and is at most `bytesMax`; else it
   * is closed.
   */
  discard(bytesMax = discardedBytesMax, msMax = discardedMsMax): void {
    this.pieces = [];
    this.unreadBytes = 0;
    if (this.isOver) return;
    this.discarding = { bytesMax, bytes: 0, timer: setTimeout(() => this.destroy(), msMax) };
    if (!this.paused) return;
    this.paused = false;
    this.source.resume();
  }

  private settle(): void {
    clearTimeout(this.discarding?.timer);
    this.discarding = undefined;
  }
}
