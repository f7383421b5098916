import { appError, renderProblem, toOpenAiError } from "@codex/http";
import { newId } from "@codex/kernel";
import { createProxyMiddleware, type RequestHandler } from "http-proxy-middleware";
import { ServerResponse } from "node:http";
import { identityHeaders, matches, type EdgeRoute } from "./routes.ts";

/** A silent upstream service is given up after this; running streams send bytes and are not touched. */
const inactivityTimeoutMs = 600_000;

/**
 * Passes a path on to its service, bodies and streams untouched. http-proxy-middleware 4 (MIT, 2026-11) does the hop:
 * keep-alive, back-pressure and aborts are its business, not ours.
 */
export function proxyTo(route: EdgeRoute, target: string): RequestHandler {
  return createProxyMiddleware({
    target,
    pathFilter: (path) => matches(route, path),
    xfwd: true,
    changeOrigin: false,
    proxyTimeout: inactivityTimeoutMs,
    on: {
      proxyReq: (outgoing) => {
        for (const name of identityHeaders) outgoing.removeHeader(name);
      },
      error: (_error, _req, res) => {
        if (res instanceof ServerResponse) answerUnavailable(route, res);
        else res.destroy();
      },
    },
  });
}

/** The service did not answer: 503 in the form of its surface, or a broken connection when the answer had begun. */
function answerUnavailable(route: EdgeRoute, res: ServerResponse): void {
  if (res.headersSent || res.destroyed) {
    res.destroy();
    return;
  }
  const requestId = newId("req");
  const error = appError("service_unavailable", "This part of the service does not answer at the moment. Please try again.", {
    retryAfterSeconds: 2,
  });
  const rendered = route.prefix === "/v1" ? toOpenAiError(error, requestId) : renderProblem(error, requestId);
  res.writeHead(rendered.status, { "content-type": "application/json", ...rendered.headers, "x-request-id": requestId });
  res.end(JSON.stringify(rendered.body));
}
