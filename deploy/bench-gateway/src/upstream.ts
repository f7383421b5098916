import net from "node:net";
import {
  chunks,
  floodChunk,
  jsonAnswer,
  models,
  pacedEveryMs,
  slowEveryMs,
  streamChunk,
  streamHead,
  streamTail,
} from "./answers.ts";
import { Pacer } from "./pacer.ts";

/**
 * The upstream of the bench, a process of its own: HTTP/1.1 on bare sockets, answers made beforehand, no parsing beyond the end
 * of the request. Much cheaper than anything that is measured in front of it (the figures of "direct" show by how much).
 * POST anything: the model in the body says what comes. GET /count: what it has answered. First argument: the port.
 */

const counts = { answers: 0, broken: 0, open: 0, openMax: 0 };

/** One connection of whoever is in front; answers one request after the other. */
class Connection {
  private readonly socket: net.Socket;
  private waiting: Buffer = Buffer.alloc(0);
  /** Chunks that the running stream still sends; undefined = none runs. */
  private left: number | undefined;
  private leave: (() => void) | undefined;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("data", (piece: Buffer) => this.read(piece));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.closed());
  }

  /** Called by the pacer. */
  turn(): void {
    if (this.left === undefined) return;
    if (this.left === 0) {
      this.finish();
      return;
    }
    this.left -= 1;
    this.socket.write(streamChunk);
  }

  private read(piece: Buffer): void {
    this.waiting = this.waiting.length === 0 ? piece : Buffer.concat([this.waiting, piece]);
    for (let end = requestEnd(this.waiting); end !== undefined; end = requestEnd(this.waiting)) {
      const request = this.waiting.subarray(0, end);
      this.waiting = this.waiting.subarray(end);
      this.answer(request);
    }
  }

  private answer(request: Buffer): void {
    if (request.subarray(0, 4).toString("latin1") === "GET ") {
      const text = JSON.stringify(counts);
      this.socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${String(text.length)}\r\n\r\n${text}`);
    } else if (request.includes('"stream":true')) {
      this.stream(request);
    } else {
      this.socket.write(jsonAnswer);
      counts.answers += 1;
    }
  }

  private stream(request: Buffer): void {
    counts.open += 1;
    counts.openMax = Math.max(counts.openMax, counts.open);
    this.socket.write(streamHead);
    this.left = Number.POSITIVE_INFINITY;
    if (request.includes(models.flood)) {
      this.flood();
    } else if (request.includes(models.paced)) {
      this.left = chunks.paced;
      this.leave = paced.join(this);
    } else if (request.includes(models.slow)) {
      this.left = chunks.slow;
      this.leave = slow.join(this);
    } else {
      for (let left: number = chunks.fast; left > 0; left -= 1) this.socket.write(streamChunk);
      this.finish();
    }
  }

  /** Writes while the other side takes it. */
  private flood(): void {
    while (!this.socket.destroyed && this.socket.write(floodChunk));
    if (!this.socket.destroyed) this.socket.once("drain", () => this.flood());
  }

  private finish(): void {
    this.socket.write(streamTail);
    counts.answers += 1;
    this.ended();
  }

  private closed(): void {
    if (this.left === undefined) return;
    counts.broken += 1;
    this.ended();
  }

  private ended(): void {
    counts.open -= 1;
    this.left = undefined;
    this.leave?.();
    this.leave = undefined;
  }
}

const paced = new Pacer<Connection>(pacedEveryMs, (connection) => connection.turn());
const slow = new Pacer<Connection>(slowEveryMs, (connection) => connection.turn());

/** Bytes that belong to the first request of the buffer, once all of it is there. */
function requestEnd(buffer: Buffer): number | undefined {
  const headers = buffer.indexOf("\r\n\r\n");
  if (headers === -1) return undefined;
  const text = buffer.toString("latin1", 0, headers);
  const length = /content-length: *(\d+)/i.exec(text)?.[1];
  if (length !== undefined) {
    const end = headers + 4 + Number(length);
    return buffer.length >= end ? end : undefined;
  }
  if (!/transfer-encoding: *chunked/i.test(text)) return headers + 4;
  const end = buffer.indexOf("\r\n0\r\n\r\n", headers);
  return end === -1 ? undefined : end + 7;
}

const server = net.createServer({ noDelay: true }, (socket) => new Connection(socket));
server.listen(Number(process.argv[2]), "127.0.0.1", 4_096);
