import { appError, renderProblem, toOpenAiError } from "@codex/http";
import { newId } from "@codex/kernel";
import type { RequestHandler } from "express";
import { createProxyMiddleware } from "http-proxy-middleware";
import { Agent, ServerResponse, type IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { identityHeaders, matches, type EdgeRoute } from "./routes.ts";

/** A silent upstream service is given up after this; running streams send bytes and are not touched. */
const inactivityTimeoutMs = 600_000;

/** Running requests to one service; streams last long, so the proxy's own bound of 256 would make others wait in silence. */
const agent = new Agent({ keepAlive: true, maxSockets: 10_000, maxFreeSockets: 64 });

/**
 * Before every hop: what only a proxy may say is said by us. The address of the connection goes behind what the client
 * claims, so that a service with one trusted proxy reads ours. Done on the request itself: the proxy's own `xfwd` leaves a
 * claimed address as it is, and its `proxyReq` event does not come for a request with `Expect` (httpxy 0.5.6).
 */
export const ownForwarding: RequestHandler = (req, _res, next) => {
  forwardAsOwn(req);
  next();
};

function forwardAsOwn(req: IncomingMessage): void {
  for (const name of identityHeaders) Reflect.deleteProperty(req.headers, name);
  const claimed = req.headers["x-forwarded-for"];
  const address = req.socket.remoteAddress ?? "unknown";
  req.headers["x-forwarded-for"] = claimed === undefined ? address : `${String(claimed)}, ${address}`;
}

/**
 * Passes a path on to its service, bodies and streams untouched. http-proxy-middleware 4 (MIT, 2026-11) does the hop:
 * keep-alive, back-pressure and aborts are its business, not ours.
 */
export function proxyTo(route: EdgeRoute, target: string): RequestHandler {
  return createProxyMiddleware({
    target,
    agent,
    pathFilter: (path) => matches(route, path),
    changeOrigin: false,
    proxyTimeout: inactivityTimeoutMs,
    on: {
      error: (_error, _req, res) => {
        if (res instanceof ServerResponse) answerUnavailable(route, res);
        else res.destroy();
      },
    },
  });
}

/** Websockets are the gateway's alone (realtime sessions, and its 426 for others); what was said about a hop holds for them too. */
export function webSocketsTo(target: string): (req: IncomingMessage, socket: Duplex, head: Buffer) => void {
  const proxy = createProxyMiddleware({
    target,
    ws: true,
    changeOrigin: false,
    on: { error: (_error, _req, socket) => socket.destroy() },
  });
  return (req, socket, head) => {
    socket.on("error", () => socket.destroy());
    const path = req.url?.split("?")[0] ?? "";
    if (path !== "/v1" && !path.startsWith("/v1/")) {
      socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      return;
    }
    // Node types what it hands over as any two-way stream; of an HTTP server it is a socket.
    if (!(socket instanceof Socket)) {
      socket.destroy();
      return;
    }
    forwardAsOwn(req);
    proxy.upgrade(req, socket, head);
  };
}

/** The service did not answer: 503 in the form of its surface, or a broken connection when the answer had begun. */
function answerUnavailable(route: EdgeRoute, res: ServerResponse): void {
  if (res.headersSent || res.destroyed) {
    res.destroy();
    return;
  }
  const requestId = newId("req");
  const error = appError(
    "service_unavailable",
    "This part of the service does not answer at the moment. Please try again.",
    {
      retryAfterSeconds: 2,
    },
  );
  const rendered = route.prefix === "/v1" ? toOpenAiError(error, requestId) : renderProblem(error, requestId);
  res.writeHead(rendered.status, {
    "content-type": "application/json",
    ...rendered.headers,
    "x-request-id": requestId,
  });
  res.end(JSON.stringify(rendered.body));
}
