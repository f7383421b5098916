import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Health } from "./health.ts";

export interface AdminServer {
  /** The real one, also when 0 was asked for. */
  readonly port: number;
  /** Stops listening and ends what is left within a second. Idempotent. */
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const textType = "text/plain; charset=utf-8";
const prometheusType = "text/plain; version=0.0.4; charset=utf-8";
const closeTimeoutMs = 1_000;

/**
 * Probes and metrics on their own port, which must not be reachable from outside.
 *   /livez     200 as long as the event loop turns; also while draining, so that nobody kills a process that is stopping
 *   /startupz  200 once the service has started
 *   /readyz    200 or 503, JSON report of the checks
 *   /metrics   Prometheus text
 * Rejects when the port cannot be bound, saying which setting names it.
 */
export async function startAdminServer(opts: {
  readonly host: string;
  readonly port: number;
  readonly health: Health;
  metricsText(): Promise<string>;
}): Promise<AdminServer> {
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000, keepAliveTimeout: 5_000 }, (req, res) => {
    // Probes carry no body; whatever is sent is thrown away.
    req.resume();
    void respond(req, res, opts);
  });
  server.maxConnections = 64;
  await listen(server, opts.host, opts.port);
  const { port } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  return {
    port,
    close: () => {
      closed ??= close(server);
      return closed;
    },
  };
}

async function respond(
  req: IncomingMessage,
  res: ServerResponse,
  opts: { readonly health: Health; metricsText(): Promise<string> },
): Promise<void> {
  const answer = await answerTo(req, opts).catch((): Answer => ({ status: 500, type: textType, body: "failed\n" }));
  res.writeHead(answer.status, {
    "content-type": answer.type,
    "content-length": Buffer.byteLength(answer.body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(answer.status === 405 ? { allow: "GET, HEAD" } : {}),
  });
  res.end(req.method === "HEAD" ? undefined : answer.body);
}

async function answerTo(
  req: IncomingMessage,
  opts: { readonly health: Health; metricsText(): Promise<string> },
): Promise<Answer> {
  const path = (req.url ?? "/").split("?", 1)[0];
  if (path !== "/livez" && path !== "/startupz" && path !== "/readyz" && path !== "/metrics") {
    return { status: 404, type: textType, body: "not found\n" };
  }
  if (req.method !== "GET" && req.method !== "HEAD")
    return { status: 405, type: textType, body: "method not allowed\n" };
  if (path === "/livez") return { status: 200, type: textType, body: "ok\n" };
  if (path === "/metrics") return { status: 200, type: prometheusType, body: await opts.metricsText() };
  if (path === "/startupz") {
    const starting = opts.health.state === "starting";
    return { status: starting ? 503 : 200, type: textType, body: starting ? "starting\n" : "ok\n" };
  }
  const report = await opts.health.report();
  return { status: report.ready ? 200 : 503, type: "application/json", body: `${JSON.stringify(report)}\n` };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      reject(new Error(`cannot listen on ${host}:${String(port)} (ADMIN_PORT): ${error.message}`, { cause: error }));
    });
    server.listen({ host, port }, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      server.closeAllConnections();
    }, closeTimeoutMs);
    server.close((error) => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve();
    });
    server.closeIdleConnections();
  });
}
