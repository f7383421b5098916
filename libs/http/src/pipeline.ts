import type express from "express";
import { type AppError, toAppError } from "@codex/kernel";
import { assertJsonContent, ClientGoneError, endReply, hasBody, readJson } from "./body.ts";
import { clientIpOf } from "./client-ip.ts";
import { parseCookies, serializeCookie, sessionCookieName } from "./cookies.ts";
import { assertSameOrigin } from "./csrf.ts";
import { appError, findError, notFound } from "./error-catalogue.ts";
import { sendContent } from "./media.ts";
import { renderProblem } from "./render.ts";
import { type HttpLogger, stateOf } from "./request-state.ts";
import { guardCodes, needsCsrf, type RateClass, type Reply, type Route } from "./route.ts";
import { assertRecentAuthentication } from "./step-up.ts";
import { secondFactorDue, type Principal, type SessionVerifier } from "./session.ts";

export interface RateAsk {
  readonly operationId: string;
  readonly rateClass: Exclude<RateClass, "none">;
  readonly clientIp: string;
  readonly principal: Principal | null;
}

export interface RateDecision {
  readonly allowed: boolean;
  /** Whole seconds until a request would be allowed; used when it is not. */
  readonly retryAfterSeconds: number;
  /** Limit headers for every answer, lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asked once a request, after the guards and before the body is read. Must answer within its own deadline. */
export interface RateLimiter {
  take(ask: RateAsk): Promise<RateDecision>;
}

export interface PipelineOptions {
  readonly sessions: SessionVerifier | undefined;
  readonly authorizeInternal: ((req: express.Request) => boolean | Promise<boolean>) | undefined;
  readonly rateLimiter: RateLimiter | undefined;
  readonly logger: HttpLogger;
  readonly publicOrigin: string;
  readonly trustedProxyCount: number;
  readonly production: boolean;
}

/** How long a client may go on sending a body that was refused. */
const lingerMs = 5_000;

/** A route did what it does not declare: a defect, answered as a 500. */
class UndeclaredError extends Error {
  constructor(route: Route, what: string, cause?: unknown) {
    super(`route ${route.operationId} ${what}`, cause === undefined ? undefined : { cause });
    this.name = "UndeclaredError";
  }
}

/** Cheap checks first: a request without cookie costs no signature, and one from a foreign page no call to auth. */
async function authenticate(
  route: Route,
  req: express.Request,
  cookies: Readonly<Record<string, string>>,
  options: PipelineOptions,
): Promise<Principal | null> {
  const cookie = cookies[sessionCookieName];
  const isGuarded = route.auth === "session" || route.auth === "operator";
  if (isGuarded && (cookie === undefined || cookie === "")) throw sessionRequired();
  if (needsCsrf(route)) assertSameOrigin(req.headers, options.publicOrigin);
  if (route.auth === "internal" && (await options.authorizeInternal?.(req)) !== true) throw routeNotFound();
  if (!isGuarded) return null;
  const principal = (await options.sessions?.verify(cookie)) ?? null;
  if (!principal) throw sessionRequired();
  if (principal.secondFactorDue === true && !route.enrolment) throw secondFactorDue();
  if (route.auth === "operator" && !(route.roles ?? ["admin"]).includes(principal.role)) {
    throw appError("forbidden", "Your role does not allow this.");
  }
  if (route.freshProof) assertRecentAuthentication(principal);
  return principal;
}

function sessionRequired(): AppError {
  return appError("session_required", "Please sign in.");
}

/** The answer to every path that is not in the registry. */
export function routeNotFound(): AppError {
  return appError("route_not_found", "There is no such route. Check the path and the base URL.");
}

async function limitRate(
  route: Route,
  res: express.Response,
  ask: Omit<RateAsk, "operationId" | "rateClass">,
  limiter: RateLimiter | undefined,
): Promise<void> {
  if (route.rateClass === "none" || !limiter) return;
  const decision = await limiter.take({ ...ask, operationId: route.operationId, rateClass: route.rateClass });
  for (const [name, value] of Object.entries(decision.headers ?? {})) res.setHeader(name, value);
  if (decision.allowed) return;
  const seconds = Math.max(1, Math.ceil(decision.retryAfterSeconds));
  throw appError("rate_limit_exceeded", `Too many requests. Try again in ${String(seconds)} s.`, {
    retryAfterSeconds: seconds,
  });
}

/** Aborts when the connection ends before the answer is out. */
function abortOnClose(res: express.Response): AbortSignal {
  const controller = new AbortController();
  res.once("close", () => {
    if (!res.writableFinished) controller.abort(new ClientGoneError());
  });
  return controller.signal;
}

/** The body as bytes, by the schema of its status. Throws UndeclaredError for what the route does not declare. */
function encodeReply(route: Route, reply: Reply): Buffer | undefined {
  const schema = route.responses[reply.status];
  if (schema === undefined) throw new UndeclaredError(route, `answered the undeclared status ${String(reply.status)}`);
  if (schema === null) {
    if (reply.body !== undefined) throw new UndeclaredError(route, `sent a body with status ${String(reply.status)}`);
    return undefined;
  }
  const encoded = schema.safeEncode(reply.body);
  if (!encoded.success) {
    throw new UndeclaredError(
      route,
      `answered a body that its schema for ${String(reply.status)} refuses`,
      encoded.error,
    );
  }
  return Buffer.from(JSON.stringify(encoded.data));
}

async function sendReply(route: Route, req: express.Request, res: express.Response, reply: Reply): Promise<void> {
  const mediaType = route.media?.[reply.status];
  if ((mediaType === undefined) !== (reply.content === undefined)) {
    throw new UndeclaredError(route, `answered ${String(reply.status)} in a form that it does not declare`);
  }
  const body = encodeReply(route, reply);
  const cookies = (reply.cookies ?? []).map(serializeCookie);
  if (res.destroyed) return;
  for (const [name, value] of Object.entries(reply.headers ?? {})) res.setHeader(name, value);
  if (cookies.length > 0) res.setHeader("set-cookie", cookies);
  res.statusCode = reply.status;
  if (mediaType !== undefined && reply.content !== undefined) {
    res.setHeader("content-type", mediaType);
    await sendContent(req, res, reply.content);
    return;
  }
  if (body) res.setHeader("content-type", "application/json; charset=utf-8").setHeader("content-length", body.length);
  endReply(req, res, req.method === "HEAD" || !body ? "" : body, lingerMs);
}

/**
 * What the route may say, of what was thrown. Every not-found of an owned object becomes the one fresh `not_found`, so
 * that missing and foreign cannot be told apart (SEC-02). An undeclared code is a 500 outside production, where a test
 * must see it; in production it is logged and passed, because a wrong status helps nobody.
 */
function declaredError(route: Route, thrown: unknown, options: PipelineOptions): AppError {
  const error = toAppError(thrown);
  if (route.owner === "account" && error.kind === "not_found") return notFound();
  const isDeclared = route.errors.includes(error.code) || guardCodes(route).includes(error.code);
  if (isDeclared && findError(error.code)?.kind === error.kind) return error;
  if (route.auth === "internal" && error.code === "route_not_found") return error;
  const undeclared = new UndeclaredError(route, `threw the undeclared ${error.kind} code ${error.code}`, error);
  options.logger.error("undeclared error", { name: route.operationId, code: error.code, error: undeclared });
  return options.production ? error : toAppError(undeclared);
}

/** Serves one route: who asks, how often, with what; then the handler, whose answer is held to the declaration. */
export function serveRoute(route: Route, options: PipelineOptions): express.RequestHandler {
  const serve = async (req: express.Request, res: express.Response): Promise<void> => {
    const state = stateOf(req);
    const cookies = parseCookies(req.headers.cookie);
    const clientIp = clientIpOf(req.socket.remoteAddress, forwardedFor(req), options.trustedProxyCount);
    const principal = await authenticate(route, req, cookies, options);
    state.principal = principal;
    await limitRate(route, res, { clientIp, principal }, options.rateLimiter);
    // SEC-22 (b): a content type that a plain form can send is refused even where there is no body.
    if (needsCsrf(route) && req.headers["content-type"] !== undefined) assertJsonContent(req);
    const reply = await route.run({
      params: { ...req.params },
      query: { ...req.query },
      readBody: () => readRouteBody(route, req),
      principal,
      requestId: state.requestId,
      signal: abortOnClose(res),
      req,
      cookies,
      clientIp,
    });
    await sendReply(route, req, res, reply);
  };
  return async (req, res) => {
    stateOf(req).route = route;
    try {
      await serve(req, res);
    } catch (thrown) {
      if (thrown instanceof ClientGoneError) return;
      sendError(req, res, declaredError(route, thrown, options));
    }
  };
}

async function readRouteBody(route: Route, req: express.Request): Promise<unknown> {
  if (route.method === "GET") {
    if (hasBody(req)) throw appError("invalid_request", "This route takes no body.");
    return undefined;
  }
  const body = await readJson(req, route.bodyLimitBytes);
  if (body !== undefined || !route.request.body) return body;
  // Not `malformed_json`: nothing was sent. Without content type the sender has most likely forgotten both.
  if (req.headers["content-type"] === undefined) assertJsonContent(req);
  throw appError("invalid_request", "The request has no body; this route needs one.");
}

function forwardedFor(req: express.Request): string | undefined {
  const value = req.headers["x-forwarded-for"];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** Renders as problem+json. After the headers are out nothing can be said any more: the connection is cut. */
export function sendError(req: express.Request, res: express.Response, error: AppError): void {
  const state = stateOf(req);
  state.error = error;
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const rendered = renderProblem(error, state.requestId);
  const body = Buffer.from(JSON.stringify(rendered.body));
  for (const [name, value] of Object.entries(rendered.headers)) res.setHeader(name, value);
  res.statusCode = rendered.status;
  res.setHeader("content-length", body.length);
  endReply(req, res, req.method === "HEAD" ? "" : body, lingerMs);
}
