import type { WebSocket } from "ws";

/** One end of a session: sends with back-pressure, is read unless somebody has a reason not to, and shows that it lives. */

/** Bytes that may wait for one end before the other one is no longer read, and those at which it is read again. */
const waitingBytesMax = 1_048_576;
const waitingBytesLow = 262_144;
/** Two pings without an answer, and the connection is dead. */
const pingEveryMs = 25_000;
/** An end that takes nothing of what waits for it for this long is gone. */
const stalledMs = 120_000;

export class Side {
  readonly socket: WebSocket;
  private readonly reasons = new Set<string>();
  private readonly pinging: NodeJS.Timeout;
  private stall: NodeJS.Timeout | undefined;
  private unanswered = 0;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("pong", () => {
      this.unanswered = 0;
    });
    this.pinging = setInterval(() => this.ping(), pingEveryMs);
    socket.once("close", () => this.stop());
    // An end that resets the connection is an ordinary event; `close` follows.
    socket.on("error", () => undefined);
  }

  get isOpen(): boolean {
    return this.socket.readyState === this.socket.OPEN;
  }

  /** To this end; `source` is not read while too much waits. */
  send(text: string, source: Side): void {
    if (!this.isOpen) return;
    this.socket.send(text, () => this.taken(source));
    if (this.socket.bufferedAmount <= waitingBytesMax) return;
    source.hold("the other end is slow");
    this.stall ??= setTimeout(() => this.socket.terminate(), stalledMs);
  }

  /** Not read until the reason is gone. */
  hold(reason: string): void {
    this.reasons.add(reason);
    if (this.isOpen) this.socket.pause();
  }

  release(reason: string): void {
    if (!this.reasons.delete(reason) || this.reasons.size > 0) return;
    this.socket.resume();
  }

  /** Begins the closing handshake; whoever does not answer it is cut off. */
  close(code: number, reason: string, withinMs: number): void {
    this.socket.resume();
    this.socket.close(code, reason);
    setTimeout(() => this.socket.terminate(), withinMs).unref();
  }

  private taken(source: Side): void {
    clearTimeout(this.stall);
    this.stall = undefined;
    if (this.socket.bufferedAmount <= waitingBytesLow) source.release("the other end is slow");
    else this.stall = setTimeout(() => this.socket.terminate(), stalledMs);
  }

  private ping(): void {
    if (this.unanswered >= 2) {
      this.socket.terminate();
      return;
    }
    // Of an end that is not read no answer can come.
    if (this.reasons.size > 0 || !this.isOpen) return;
    this.unanswered += 1;
    this.socket.ping();
  }

  private stop(): void {
    clearInterval(this.pinging);
    clearTimeout(this.stall);
  }
}
