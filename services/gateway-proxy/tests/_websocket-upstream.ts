import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";

/** A realtime provider whose every event a test writes. */
export interface WebSocketUpstream {
  /** With /v1, as a channel has it. */
  readonly url: string;
  /** Handshakes, the newest last. */
  readonly seen: IncomingMessage[];
  /** Open and closed sessions, the newest last. */
  readonly sessions: UpstreamSession[];
  /** Status of the next handshakes; 101 takes them. */
  status: number;
  close(): Promise<void>;
}

export interface UpstreamSession {
  readonly socket: WebSocket;
  readonly heard: Readonly<Record<string, unknown>>[];
  readonly closed: Promise<{ readonly code: number; readonly atMs: number }>;
  send(event: Readonly<Record<string, unknown>>): void;
}

export async function startWebSocketUpstream(): Promise<WebSocketUpstream> {
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer();
  const upstream = { status: 101, seen: [] as IncomingMessage[], sessions: [] as UpstreamSession[] };
  server.on("upgrade", (req, socket, head) => {
    upstream.seen.push(req);
    if (upstream.status !== 101) {
      const body = JSON.stringify({ error: { message: "the upstream's own words", code: "x" } });
      socket.end(
        `HTTP/1.1 ${String(upstream.status)} No\r\ncontent-type: application/json\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: ${String(body.length)}\r\nconnection: close\r\n\r\n${body}`,
      );
      return;
    }
    sockets.handleUpgrade(req, socket, head, (ws) => {
      const heard: Readonly<Record<string, unknown>>[] = [];
      ws.on("message", (data) =>
        heard.push(JSON.parse((data as Buffer).toString("utf8")) as Readonly<Record<string, unknown>>),
      );
      ws.on("error", () => undefined);
      upstream.sessions.push({
        socket: ws,
        heard,
        closed: new Promise((resolve) => ws.once("close", (code) => resolve({ code, atMs: performance.now() }))),
        send: (event) => ws.send(JSON.stringify(event)),
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(upstream, {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v1`,
    close: () =>
      new Promise<void>((resolve) => {
        for (const client of sockets.clients) client.terminate();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}
