import { context, metrics, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { toAppError } from "@codex/kernel";
import express from "express";
import { appError } from "./error-catalogue.ts";
import { type PipelineOptions, type RateLimiter, routeNotFound, sendError, serveRoute } from "./pipeline.ts";
import { requestIdHeaders } from "./render.ts";
import { clientGoneStatus, type HttpLogger, logRequest, stateOf } from "./request-state.ts";
import { pathParamPattern, type Route } from "./route.ts";
import { securityHeaders } from "./security-headers.ts";
import type { SessionVerifier } from "./session.ts";

export type { RateAsk, RateDecision, RateLimiter } from "./pipeline.ts";
export type { HttpLogFields, HttpLogger } from "./request-state.ts";

export interface HttpAppOptions {
  readonly service: string;
  /** Everything that is served. */
  readonly routes: readonly Route[];
  /** Needed as soon as one route is of class session or operator. */
  readonly sessions?: SessionVerifier;
  /** Needed as soon as one route is internal. Anything but true is answered like an unknown path. */
  readonly authorizeInternal?: (req: express.Request) => boolean | Promise<boolean>;
  readonly logger: HttpLogger;
  /** The origin that browsers see, "https://codex.example". */
  readonly publicOrigin: string;
  /** Proxies of ours between the client and this process; 0 = none. */
  readonly trustedProxyCount: number;
  /** In production an undeclared error code is logged and sent; elsewhere it is a 500. */
  readonly production: boolean;
  readonly rateLimiter?: RateLimiter;
  /** Requests at once; one more is refused with `overloaded`. Default 512. */
  readonly maxConcurrent?: number;
}

export interface HttpApp {
  readonly app: express.Express;
  readonly routes: readonly Route[];
}

/** Of these a second copy could make two readers of one request disagree. node itself keeps the first and stays silent. */
const singleHeaders: ReadonlySet<string> = new Set([
  "host",
  "authorization",
  "content-type",
  "content-length",
  "origin",
  "sec-fetch-site",
  "x-api-key",
]);

function assertRegistry(options: HttpAppOptions): void {
  const seen = new Set<string>();
  for (const route of options.routes) {
    for (const name of [route.operationId, `${route.method} ${route.path}`]) {
      if (seen.has(name)) throw new Error(`route ${name} is declared twice`);
      seen.add(name);
    }
    const isGuarded = route.auth === "session" || route.auth === "operator";
    if (isGuarded && !options.sessions) throw new Error(`route ${route.operationId} needs a session verifier`);
    if (route.auth === "internal" && !options.authorizeInternal) {
      throw new Error(`route ${route.operationId} needs authorizeInternal`);
    }
  }
}

/** Exactly one Host, and no second copy of a header that decides something. */
function assertPlainHeaders(req: express.Request): void {
  const counts = new Map<string, number>();
  req.rawHeaders.forEach((text, index) => {
    const name = text.toLowerCase();
    if (index % 2 === 0 && singleHeaders.has(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
  });
  if (!counts.has("host")) throw appError("invalid_request", "The Host header is missing.");
  for (const [name, count] of counts) {
    if (count > 1) throw appError("invalid_request", `The header ${name} is sent twice.`);
  }
}

function admit(inFlight: number, maxConcurrent: number): void {
  if (inFlight > maxConcurrent) {
    throw appError("overloaded", "The server is busy. Please try again in a moment.", { retryAfterSeconds: 1 });
  }
}

/** Request id, security headers, trace span, the log record, and the bound on requests at once: before any routing. */
function frame(options: HttpAppOptions): express.RequestHandler {
  const setSecurityHeaders = securityHeaders();
  const tracer = trace.getTracer("@codex/http");
  const duration = metrics.getMeter("@codex/http").createHistogram("http.server.request.duration", {
    unit: "s",
    description: "Time from the first header byte to the end of the answer.",
  });
  const maxConcurrent = options.maxConcurrent ?? 512;
  let inFlight = 0;
  return (req, res, next) => {
    // A trace of our own: a stranger's traceparent must not decide what we record.
    const span = tracer.startSpan("HTTP", { kind: SpanKind.SERVER, root: true });
    context.with(trace.setSpan(context.active(), span), () => {
      const state = stateOf(req);
      inFlight += 1;
      res.once("close", () => {
        inFlight -= 1;
        const status = res.writableFinished ? res.statusCode : clientGoneStatus;
        const route = state.route?.path ?? "(none)";
        const attributes = {
          "http.request.method": req.method,
          "http.route": route,
          "http.response.status_code": status,
        };
        duration.record((performance.now() - state.startedMs) / 1_000, attributes);
        span.updateName(`${req.method} ${route}`).setAttributes(attributes);
        if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
        logRequest(options.logger, req.method, state, status);
      });
      for (const [name, value] of Object.entries(requestIdHeaders(state.requestId))) res.setHeader(name, value);
      res.setHeader("cache-control", "no-store");
      setSecurityHeaders(req, res, (error) => {
        if (error !== undefined) throw toAppError(error);
        assertPlainHeaders(req);
        admit(inFlight, maxConcurrent);
        next();
      });
    });
  };
}

/** Paths are plain (route.ts sees to it): literal segments and `:name`. */
function matcherOf(path: string): RegExp {
  const escaped = path.replaceAll(".", "\\.").replaceAll(pathParamPattern, "[^/]+");
  return new RegExp(`^${escaped}$`);
}

/**
 * After all routes: a path that is known with other methods is a 405 with `Allow`, everything else a 404. Not made of
 * routes itself, so that the router holds the registry and nothing else.
 */
function refuseUnrouted(routes: readonly Route[]): express.RequestHandler {
  const known = [...Map.groupBy(routes, (route) => route.path)].map(([path, sharing]) => ({
    matcher: matcherOf(path),
    methods: sharing.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method])),
  }));
  return (req, res) => {
    const methods = new Set(known.filter(({ matcher }) => matcher.test(req.path)).flatMap((entry) => entry.methods));
    if (methods.size === 0) throw routeNotFound();
    const allow = [...methods].toSorted().join(", ");
    res.setHeader("allow", allow);
    throw appError("method_not_allowed", `This route takes ${allow}.`);
  };
}

// eslint-disable-next-line @typescript-eslint/no-unused-vars -- Express knows an error handler by its four parameters
const renderUncaught: express.ErrorRequestHandler = (thrown: unknown, req, res, _next) => {
  // The router throws this for a path such as "/%zz", before any route is chosen.
  const isBadPath = thrown instanceof URIError;
  const error = isBadPath ? appError("invalid_request", "The path is not valid percent-encoding.") : toAppError(thrown);
  sendError(req, res, error);
};

/**
 * The Express application of a service: default deny, every guard of the registry, problem+json for every refusal.
 * Throws when the registry contradicts itself, so that a service with an unguarded route does not start.
 */
export function createHttpApp(options: HttpAppOptions): HttpApp {
  assertRegistry(options);
  const pipeline: PipelineOptions = {
    sessions: options.sessions,
    authorizeInternal: options.authorizeInternal,
    rateLimiter: options.rateLimiter,
    logger: options.logger,
    publicOrigin: new URL(options.publicOrigin).origin,
    trustedProxyCount: options.trustedProxyCount,
    production: options.production,
  };
  const app = express();
  app.disable("x-powered-by").disable("etag");
  app.enable("case sensitive routing").enable("strict routing");
  app.use(frame(options));
  for (const route of options.routes) {
    const method = route.method.toLowerCase() as Lowercase<typeof route.method>;
    app[method](route.path, serveRoute(route, pipeline));
  }
  app.use(refuseUnrouted(options.routes));
  app.use(renderUncaught);
  return { app, routes: options.routes };
}
