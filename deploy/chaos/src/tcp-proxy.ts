import { once } from "node:events";
import net from "node:net";

/**
 * A cable between two processes that can be disturbed.
 *
 * Glossary
 *   link       one listening port in front of one target port
 *   up, down   from the client to the server, and back
 *   tap        sees every piece before it is passed on, and may have it thrown away with the connection reset
 *
 * Modes
 *   pass        as it comes
 *   cut         every connection is reset, and every new one
 *   black-hole  nothing passes and nobody is told: a half-open connection. What was sent meanwhile passes afterwards.
 *   latency     each piece later by so many milliseconds, in order
 *   truncate    after so many more bytes, in whichever direction, everything is reset; then pass again
 */

export type LinkMode =
  | { readonly kind: "pass" | "cut" | "black-hole" }
  | { readonly kind: "latency"; readonly ms: number }
  | { readonly kind: "truncate"; readonly bytes: number };

export type Direction = "up" | "down";
export type Tap = (connection: LinkConnection, direction: Direction, piece: Buffer) => "pass" | "reset";

/** Pieces of one direction that wait; past this the sender is not read from. */
const queuedBytesMax = 4_194_304;

export class Link {
  readonly name: string;
  readonly target: number;
  tap: Tap | undefined;
  private readonly server: net.Server;
  private readonly connections = new Set<LinkConnection>();
  private present: LinkMode = { kind: "pass" };

  private constructor(name: string, target: number) {
    this.name = name;
    this.target = target;
    this.server = net.createServer({ allowHalfOpen: true }, (client) => this.accept(client));
  }

  /** Listens on a free port of 127.0.0.1. */
  static async open(name: string, targetPort: number): Promise<Link> {
    const link = new Link(name, targetPort);
    link.server.listen({ port: 0, host: "127.0.0.1" });
    await once(link.server, "listening");
    return link;
  }

  get port(): number {
    const address = this.server.address();
    if (address === null || typeof address === "string") throw new Error(`the link ${this.name} is closed`);
    return address.port;
  }

  get mode(): LinkMode {
    return this.present;
  }

  set(mode: LinkMode): void {
    this.present = mode;
    if (mode.kind === "cut") this.resetAll();
    else for (const connection of this.connections) connection.modeChanged();
  }

  resetAll(): void {
    for (const connection of this.connections) connection.reset();
  }

  async close(): Promise<void> {
    this.resetAll();
    const closed = once(this.server, "close");
    this.server.close();
    await closed;
  }

  /** Counts down a truncation; true when this piece is past it. */
  isPastTruncation(bytes: number): boolean {
    if (this.present.kind !== "truncate") return false;
    const left = this.present.bytes - bytes;
    if (left > 0) {
      this.present = { kind: "truncate", bytes: left };
      return false;
    }
    this.present = { kind: "pass" };
    return true;
  }

  private accept(client: net.Socket): void {
    if (this.present.kind === "cut") {
      client.on("error", () => undefined);
      client.resetAndDestroy();
      return;
    }
    const connection = new LinkConnection(this, client, () => this.connections.delete(connection));
    this.connections.add(connection);
  }
}

interface Waiting {
  readonly piece: Buffer;
  readonly dueAtMs: number;
}

/** One connection through a link, with the two sockets that carry it. */
export class LinkConnection {
  /** For taps, which learn what a connection is for. */
  readonly marks = new Set<string>();
  private readonly link: Link;
  private readonly client: net.Socket;
  private readonly server: net.Socket;
  private readonly flows: readonly Flow[];
  private gone = false;
  /** One side has broken off, and the other one must not hear of it yet. */
  private brokenInTheDark = false;
  private readonly onGone: () => void;

  constructor(link: Link, client: net.Socket, onGone: () => void) {
    this.link = link;
    this.client = client;
    this.onGone = onGone;
    this.server = net.connect({ port: link.target, host: "127.0.0.1", allowHalfOpen: true });
    this.flows = [new Flow(link, this, "up", client, this.server), new Flow(link, this, "down", this.server, client)];
    for (const socket of [client, this.server]) {
      socket.setNoDelay(true);
      // "close" follows, with the news that it was by an error.
      socket.on("error", () => undefined);
      socket.on("close", (failed) => {
        if (failed) this.broken();
      });
    }
  }

  modeChanged(): void {
    if (this.brokenInTheDark && this.link.mode.kind !== "black-hole") this.reset();
    for (const flow of this.flows) flow.advance();
  }

  reset(): void {
    if (this.gone) return;
    this.gone = true;
    this.onGone();
    for (const flow of this.flows) flow.stop();
    for (const socket of [this.client, this.server]) {
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    }
  }

  private broken(): void {
    if (this.link.mode.kind === "black-hole") this.brokenInTheDark = true;
    else this.reset();
  }

  /** Both directions have ended in order. */
  endedOne(): void {
    if (this.gone || !this.flows.every((flow) => flow.finished)) return;
    this.gone = true;
    this.onGone();
    this.client.destroy();
    this.server.destroy();
  }
}

/** One direction of one connection. */
class Flow {
  finished = false;
  private readonly link: Link;
  private readonly connection: LinkConnection;
  private readonly direction: Direction;
  private readonly from: net.Socket;
  private readonly to: net.Socket;
  private readonly queue: Waiting[] = [];
  private queuedBytes = 0;
  private ended = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(link: Link, connection: LinkConnection, direction: Direction, from: net.Socket, to: net.Socket) {
    this.link = link;
    this.connection = connection;
    this.direction = direction;
    this.from = from;
    this.to = to;
    from.on("data", (piece: Buffer) => this.take(piece));
    from.on("end", () => {
      this.ended = true;
      this.advance();
    });
    to.on("drain", () => this.advance());
  }

  /** Sends what is due, and reads on when there is room. */
  advance(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.finished || this.to.destroyed || this.link.mode.kind === "black-hole") return;
    const nowMs = performance.now();
    for (let next = this.queue[0]; next !== undefined; next = this.queue[0]) {
      if (this.link.mode.kind === "latency" && next.dueAtMs > nowMs) {
        this.timer = setTimeout(() => this.advance(), next.dueAtMs - nowMs);
        return;
      }
      if (this.to.writableNeedDrain) return;
      this.queue.shift();
      this.queuedBytes -= next.piece.length;
      if (!this.send(next.piece)) return;
    }
    if (this.from.isPaused()) this.from.resume();
    if (!this.ended) return;
    this.finished = true;
    this.to.end();
    this.connection.endedOne();
  }

  stop(): void {
    this.finished = true;
    clearTimeout(this.timer);
    this.queue.length = 0;
  }

  private take(piece: Buffer): void {
    if (this.finished) return;
    const delayMs = this.link.mode.kind === "latency" ? this.link.mode.ms : 0;
    this.queue.push({ piece, dueAtMs: performance.now() + delayMs });
    this.queuedBytes += piece.length;
    if (this.queuedBytes > queuedBytesMax) this.from.pause();
    this.advance();
  }

  /** False when the connection was reset instead. */
  private send(piece: Buffer): boolean {
    const past = this.link.isPastTruncation(piece.length);
    const verdict = this.link.tap?.(this.connection, this.direction, piece) ?? "pass";
    if (past) {
      // Half of it still goes out, so that the receiver sees a torn message and not only a missing one.
      this.to.write(piece.subarray(0, Math.ceil(piece.length / 2)));
      this.link.resetAll();
      return false;
    }
    if (verdict === "reset") {
      this.connection.reset();
      return false;
    }
    this.to.write(piece);
    return true;
  }
}
