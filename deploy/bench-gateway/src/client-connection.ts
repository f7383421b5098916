import net from "node:net";

/** One answer as a client of the bench sees it. Milliseconds. */
export interface Answer {
  readonly startedMs: number;
  readonly firstByteMs: number;
  readonly endedMs: number;
  /** Status 200 and its proper end, which for a stream is `[DONE]` and the end of the body. */
  readonly whole: boolean;
  readonly status: number;
}

const bodyEnd = Buffer.from("\r\n0\r\n\r\n");
const done = "data: [DONE]";
/** A size in front of a chunk; a hop may begin a new chunk in the middle of an event. */
const chunkSize = /\r\n[0-9a-f]+\r\n/gi;
const tailBytes = 512;

/**
 * A keep-alive connection that sends one request at a time. It reads as little as it can (status, length or chunked, the end),
 * because every microsecond of it is taken from what is measured.
 */
export class ClientConnection {
  private readonly address: { readonly host: string; readonly port: number };
  private readonly request: Buffer;
  private readonly onAnswer: (answer: Answer, connection: ClientConnection) => void;
  private socket: net.Socket | undefined;
  private startedMs = 0;
  private firstByteMs = 0;
  private busy = false;
  private status = 0;
  /** Bytes of the body that are to come; undefined = chunked. */
  private left: number | undefined;
  private head: Buffer | undefined;
  /** Chunked and no stream: its end is that of the body alone. */
  private jsonChunked = false;
  private tail: Buffer = Buffer.alloc(0);

  constructor(
    target: { readonly url: string; readonly request: Buffer },
    onAnswer: (answer: Answer, connection: ClientConnection) => void,
  ) {
    const { hostname, port } = new URL(target.url);
    this.address = { host: hostname, port: Number(port) };
    this.request = target.request;
    this.onAnswer = onAnswer;
  }

  /** True while an answer has begun and not ended. */
  get streaming(): boolean {
    return this.busy && this.firstByteMs > 0;
  }

  send(sinceMs: number): void {
    this.busy = true;
    this.startedMs = sinceMs;
    this.firstByteMs = 0;
    this.head = Buffer.alloc(0);
    this.socket ??= this.connect();
    this.socket.write(this.request);
  }

  /** Takes nothing more from the socket. */
  stall(): void {
    this.socket?.pause();
  }

  close(): void {
    this.busy = false;
    this.socket?.destroy();
  }

  private connect(): net.Socket {
    const socket = net.connect({ ...this.address, noDelay: true });
    socket.on("data", (piece: Buffer) => this.read(piece));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.socket = undefined;
      if (this.busy) this.end(false);
    });
    return socket;
  }

  private read(piece: Buffer): void {
    if (!this.busy) return;
    if (this.firstByteMs === 0) this.firstByteMs = performance.now();
    const body = this.head === undefined ? piece : this.readHead(piece);
    if (body === undefined) return;
    if (this.left !== undefined) {
      this.left -= body.length;
      if (this.left <= 0) this.end(this.status === 200);
      return;
    }
    this.tail =
      body.length >= tailBytes ? body.subarray(-tailBytes) : Buffer.concat([this.tail, body]).subarray(-tailBytes);
    if (this.tail.subarray(-bodyEnd.length).equals(bodyEnd)) {
      this.end(this.status === 200 && (this.jsonChunked || this.saysDone()));
    }
  }

  /** What of the body came with the headers; undefined until they are whole. */
  private readHead(piece: Buffer): Buffer | undefined {
    const head = this.head === undefined || this.head.length === 0 ? piece : Buffer.concat([this.head, piece]);
    const end = head.indexOf("\r\n\r\n");
    if (end === -1) {
      this.head = head;
      return undefined;
    }
    this.head = undefined;
    this.tail = Buffer.alloc(0);
    const text = head.toString("latin1", 0, end);
    this.status = Number(text.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
    this.left = length === undefined ? undefined : Number(length);
    this.jsonChunked = length === undefined && !/\r\ncontent-type: *text\/event-stream/i.test(text);
    return head.subarray(end + 4);
  }

  private saysDone(): boolean {
    return this.tail.toString("latin1").replace(chunkSize, "").includes(done);
  }

  private end(whole: boolean): void {
    this.busy = false;
    const { startedMs, firstByteMs, status } = this;
    this.onAnswer({ startedMs, firstByteMs, endedMs: performance.now(), whole, status }, this);
  }
}
