import { newId } from "@codex/kernel";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { appError } from "./error-catalogue.ts";
import { renderProblem } from "./render.ts";

/** Bounds of SEC-86 and SEC-87; node's own are 60 s, 300 s and no limit on connections. */
const headerBytesMax = 16_384;
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 60_000;
const timeoutCheckMs = 5_000;
/** Longer than the idle time of a proxy in front, so that the proxy is the one that closes. */
const keepAliveTimeoutMs = 65_000;
const connectionsMaxDefault = 10_000;
const drainTimeoutMsDefault = 8_000;

export interface ListenOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** More are refused at once. Default 10000. */
  readonly connectionsMax?: number;
  /**
   * Takes the sockets of requests that ask for a websocket. Absent: such a request is served as if it had not asked. Other
   * upgrades are never taken: Java's HTTP client offers h2c with every request.
   */
  readonly onWebSocket?: (req: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** Bound of close(); what still runs then is cut. Default 8000. */
  readonly drainTimeoutMs?: number;
}

export interface Listening {
  readonly port: number;
  readonly server: Server;
  /** Stops accepting, lets running requests end within the bound, then closes. Idempotent. */
  close(): Promise<void>;
}

const parserErrors: Readonly<Record<string, { status: string; message: string }>> = {
  HPE_HEADER_OVERFLOW: { status: "431 Request Header Fields Too Large", message: "The headers are larger than 16 KB." },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: "408 Request Timeout",
    message: "The request was not sent within its time limit.",
  },
};

/** What node's parser refuses never becomes a request: it is answered on the bare socket, in the same shape. */
function answerBrokenRequest(
  error: Error & { code?: string },
  socket: Duplex,
  response: ServerResponse | undefined,
): void {
  if (!socket.writable || error.code === "ECONNRESET" || response?.headersSent === true) {
    socket.destroy();
    return;
  }
  const known = parserErrors[error.code ?? ""] ?? {
    status: "400 Bad Request",
    message: "The request is not valid HTTP.",
  };
  const rendered = renderProblem(appError("invalid_request", known.message), newId("req"));
  const body = JSON.stringify({ ...rendered.body, status: Number(known.status.slice(0, 3)) });
  const headers = { ...rendered.headers, "content-length": String(Buffer.byteLength(body)), connection: "close" };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${known.status}\r\n${lines.join("")}\r\n${body}`);
}

/** Answers in flight, by socket; needed to say `connection: close` when draining, and by the parser's error answer. */
class InFlight {
  private readonly responses = new Map<Duplex, ServerResponse>();
  private readonly empty = Promise.withResolvers<undefined>();
  private draining = false;

  track(server: Server): void {
    server.prependListener("request", (req, res) => {
      this.responses.set(req.socket, res);
      if (this.draining) res.setHeader("connection", "close");
      res.once("close", () => {
        if (this.responses.get(req.socket) === res) this.responses.delete(req.socket);
        if (!this.draining) return;
        setImmediate(() => server.closeIdleConnections());
        if (this.responses.size === 0) this.empty.resolve(undefined);
      });
    });
  }

  on(socket: Duplex): ServerResponse | undefined {
    return this.responses.get(socket);
  }

  /** Resolves when no answer is in flight any more. */
  drain(): Promise<undefined> {
    this.draining = true;
    for (const res of this.responses.values()) if (!res.headersSent) res.setHeader("connection", "close");
    if (this.responses.size === 0) this.empty.resolve(undefined);
    return this.empty.promise;
  }
}

async function closeServer(
  server: Server,
  inFlight: InFlight,
  upgraded: ReadonlySet<Duplex>,
  drainTimeoutMs: number,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => {
    server.closeAllConnections();
    for (const socket of upgraded) socket.destroy();
  }, drainTimeoutMs);
  const drained = inFlight.drain();
  // Ends idle connections too (node ≥ 19).
  server.close(() => resolve(undefined));
  // The server counts a connection as gone a moment before its answer is told; what closes next needs both.
  await Promise.all([promise, drained]);
  clearTimeout(timer);
}

/** Serves an Express app or any other listener with the time and size bounds of SEC-86/87. Rejects when the port is taken. */
export async function listen(app: RequestListener, options: ListenOptions): Promise<Listening> {
  const server = createServer(
    {
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      connectionsCheckingInterval: timeoutCheckMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      shouldUpgradeCallback: (req) =>
        options.onWebSocket !== undefined && (req.headers.upgrade ?? "").toLowerCase() === "websocket",
      // Checked by the app, which answers it in the right shape.
      requireHostHeader: false,
    },
    app,
  );
  server.maxConnections = options.connectionsMax ?? connectionsMaxDefault;
  const inFlight = new InFlight();
  inFlight.track(server);
  server.on("clientError", (error: Error, socket) => answerBrokenRequest(error, socket, inFlight.on(socket)));
  // The server waits for the sockets that it has handed over, and cannot close them itself.
  const upgraded = new Set<Duplex>();
  if (options.onWebSocket) {
    server.on("upgrade", (_req, socket) => {
      upgraded.add(socket);
      socket.once("close", () => upgraded.delete(socket));
    });
    server.on("upgrade", options.onWebSocket);
  }
  const started = Promise.withResolvers<undefined>();
  server.once("error", started.reject);
  server.listen(options.port, options.host, () => started.resolve(undefined));
  await started.promise;
  server.off("error", started.reject);
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  let closing: Promise<void> | undefined;
  return {
    port: address.port,
    server,
    close: () => (closing ??= closeServer(server, inFlight, upgraded, options.drainTimeoutMs ?? drainTimeoutMsDefault)),
  };
}
