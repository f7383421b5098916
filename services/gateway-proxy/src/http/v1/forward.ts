import { httpStatusOf } from "@codex/http/edge";
import { AppError, toAppError } from "@codex/kernel";
import { errors } from "undici";
import type { Route } from "../../app/catalogue.ts";
import { noRoute, RouteChoice, type Attempt } from "../../app/choose-route.ts";
import type { MeteredRequest } from "../../app/metered-request.ts";
import { errorOf, transportFailure, type FaultScope } from "../../upstream/faults.ts";
import { speaks } from "../../upstream/kinds/index.ts";
import type { Cancelled } from "../../upstream/cancellation.ts";
import { outgoing, type OutgoingCall } from "../../upstream/outgoing.ts";
import { RequestLife } from "./request-life.ts";
import { readRefusal, type Refusal } from "../../upstream/refusal.ts";
import type { UpstreamResponse } from "../../upstream/transport.ts";
import type { GatewayParts, V1Context } from "./context.ts";

/**
 * From an admitted request to its charge, for every endpoint: channels are tried until one answers, and the request is closed
 * exactly once. The endpoint says what goes out and how the answer is passed on.
 */

export interface Exchange {
  /** The answer is asked for as server-sent events. */
  readonly stream: boolean;
  /** From `affinityOf`: requests with the same number meet the same channel and key; undefined: any. */
  readonly session: number | undefined;
  /** Whether a channel takes the request as it is: such channels come first among those of one priority. */
  readonly native: (route: Route) => boolean;
  /**
   * Builds the call for one channel, at each attempt anew. An AppError of kind `invalid` says that this channel cannot
   * take the request: the next one is asked, and when none can, the client gets the first such error.
   */
  readonly prepare: (route: Route) => OutgoingCall;
  /**
   * Passes a 200 on and closes the request. It calls `request.firstByte()` when the first byte of the answer itself goes to
   * the client (keep-alive comments are none): what it throws before lets another channel be tried, afterwards it cuts the
   * answer. `checkAlive` throws when the key was revoked meanwhile; call it for each piece.
   */
  readonly relay: (answer: UpstreamResponse, route: Route, checkAlive: () => void) => Promise<void>;
  /**
   * The last bytes of an answer that is cut after its headers went out: an error of the dialect, never a clean end. Undefined:
   * there is no way to say it, and the connection is broken.
   */
  readonly cutWith: (error: AppError) => string | undefined;
}

/** One forwarded request. */
interface Forwarding {
  readonly parts: GatewayParts;
  readonly context: V1Context;
  readonly request: MeteredRequest;
  readonly exchange: Exchange;
  readonly choice: RouteChoice;
  /** The one that answers, or the last one. */
  attempt: Attempt | undefined;
}

/** An attempt that failed before the first byte, by the upstream's fault. */
interface Failure {
  readonly error: AppError;
  /** The same channel may do better a moment later. */
  readonly passing: boolean;
}

/** Ends the request whatever happens. Throws the AppError to answer with while nothing has been sent. */
export async function forward(
  parts: GatewayParts,
  context: V1Context,
  request: MeteredRequest,
  exchange: Exchange,
): Promise<void> {
  const { routes } = request.init.offer;
  request.open(routes[0]?.channelName ?? "");
  const choice = new RouteChoice(routes, exchange.session, parts.clock, exchange.native);
  const forwarding: Forwarding = { parts, context, request, exchange, choice, attempt: undefined };
  try {
    await tryRoutes(forwarding);
  } catch (error) {
    fail(context, request, exchange, error);
  } finally {
    const { cost } = request.close({ ending: "upstream_cut", httpStatus: 500, errorCode: "internal_error" }).charge;
    context.facts.costMicroTokens = cost;
    forwarding.attempt?.charged(cost);
  }
}

async function tryRoutes(forwarding: Forwarding): Promise<void> {
  const { parts, context, request, exchange, choice } = forwarding;
  let failure: Failure | undefined;
  let unfit: AppError | undefined;
  for (;;) {
    const attempt = choice.next();
    if (!attempt) {
      if (failure?.passing !== true || !choice.again()) break;
      await backOff(context.clientGone);
      continue;
    }
    const call = prepare(exchange, attempt.route);
    if (call instanceof AppError) {
      unfit ??= call;
      choice.unfit(attempt);
      continue;
    }
    forwarding.attempt = attempt;
    request.channel = attempt.route.channelName;
    failure = await tryOnce(forwarding, attempt, call);
    if (!failure) return;
    request.leaveChannel();
  }
  throw failure?.error ?? unfit ?? noRoute(request.init.offer.routes, parts.clock.monotonicMs());
}

/** The call, or why this channel cannot take the request. */
function prepare(exchange: Exchange, route: Route): OutgoingCall | AppError {
  try {
    const call = exchange.prepare(route);
    return speaks(route.kind, call.operation) ? call : notSpoken();
  } catch (error) {
    if (error instanceof AppError && error.kind === "invalid") return error;
    throw error;
  }
}

/** Undefined when the answer went to the client whole. Throws when nothing else may be tried. */
async function tryOnce(forwarding: Forwarding, attempt: Attempt, call: OutgoingCall): Promise<Failure | undefined> {
  const { context, request, choice } = forwarding;
  try {
    const refusal = await exchangeWith(forwarding, attempt, call);
    if (!refusal) {
      attempt.end("success");
      return undefined;
    }
    const { error, scope, isFinal } = blame(attempt, choice, refusal);
    report(forwarding, attempt, error, scope);
    if (isFinal) throw error;
    return { error, passing: scope === "channel" };
  } catch (error) {
    if (context.clientGone.aborted) throw error;
    const failure = transportFailure(error) ?? toAppError(error);
    if (!isUpstreams(failure)) throw error;
    attempt.end("failure");
    report(forwarding, attempt, failure, "channel");
    if (request.answering) throw error;
    // Who waited once for a first byte that did not come does not wait for the same channel again.
    const passing = failure.kind !== "timeout";
    choice.leave(attempt, !passing);
    return { error: failure, passing };
  } finally {
    attempt.end("neutral");
  }
}

/** Anything else is a defect of ours, a refusal of ours, or the client's doing. */
function isUpstreams({ kind, code }: AppError): boolean {
  return kind === "upstream" || kind === "timeout" || code === "upstream_unavailable";
}

export interface Blamed extends Pick<Refusal, "scope" | "error"> {
  /** No other channel is asked. */
  readonly isFinal: boolean;
}

/**
 * Leaves alone who is to blame for what the upstream said, and tells whose fault it was. It is the request's own when the same key
 * served the same model a moment ago: 403 or 404 then says that the model does not do what was asked of it (embeddings of a chat
 * model, say). Otherwise anybody could take a model from all others by asking it for what it cannot do. Another channel may do it.
 */
export function blame(
  attempt: Attempt,
  choice: RouteChoice,
  { scope, retryAfterSeconds, status, error }: Refusal,
): Blamed {
  const perhapsUnserved = status === 403 ? scope === "key_rejected" : scope === "channel" && isUnserved(status);
  if (perhapsUnserved && attempt.servedLately()) {
    attempt.end("neutral");
    choice.leave(attempt, true);
    return { scope: "request", error: errorOf("request", status), isFinal: false };
  }
  switch (scope) {
    case "request":
      attempt.end("neutral");
      break;
    case "channel":
      attempt.end("failure");
      // It does not know the model, or answers with a redirect: that will not pass.
      choice.leave(attempt, status < 500 && status !== 408);
      break;
    case "key_rate":
    case "key_quota":
    case "key_rejected":
      attempt.end("neutral");
      // Another key of the same channel may do; without one the channel cannot be chosen while this one rests.
      attempt.rest(restReasons[scope], retryAfterSeconds, scope === "key_quota" || status === 401);
  }
  return { scope, error, isFinal: scope === "request" };
}

/** No such thing here, or not in this way. */
const isUnserved = (status: number): boolean => status === 404 || status === 405 || status === 406 || status === 501;

const restReasons = { key_rate: "rate_limited", key_quota: "quota", key_rejected: "rejected" } as const;

function report(forwarding: Forwarding, attempt: Attempt, error: AppError, scope: FaultScope): void {
  const { parts, context } = forwarding;
  parts.events.upstreamFailed(attempt.route.kind, scope);
  parts.logger.warn("upstream attempt failed", {
    requestId: context.requestId,
    channelId: attempt.route.channelId,
    name: attempt.route.channelName,
    model: attempt.route.upstreamModel,
    code: error.code,
    reason: scope,
    attempt: forwarding.choice.attempts,
    error,
  });
}

/** Sends the call. The refusal, or undefined when the answer was relayed. */
async function exchangeWith(
  { parts, context, request, exchange }: Forwarding,
  attempt: Attempt,
  call: OutgoingCall,
): Promise<Awaited<ReturnType<typeof readRefusal>> | undefined> {
  const { route } = attempt;
  attempt.sent();
  const life = new RequestLife(parts, context);
  const facts = {
    stream: exchange.stream,
    requestId: context.requestId,
    clientHeaders: context.req.headers,
    signal: life.signal,
    userId: () => parts.opaqueUser(request.init.accountId),
  };
  let timer: NodeJS.Timeout | undefined;
  try {
    const sentAtMs = parts.clock.monotonicMs();
    const answer = await parts.upstream.call(outgoing(route, attempt.key, call, facts));
    if (answer.status !== 200) return await readRefusal(route.kind, answer);
    attempt.answered();
    request.accepted = true;
    timer = exchange.stream ? firstByteTimer(parts, route, request, answer, sentAtMs) : undefined;
    await exchange.relay(answer, route, () => life.check());
  } finally {
    clearTimeout(timer);
    life.end();
  }
  return undefined;
}

/** Some upstreams send their headers, or comments, long before the first word: the wait for that word is bounded as a whole. */
function firstByteTimer(
  parts: GatewayParts,
  route: Route,
  request: MeteredRequest,
  answer: UpstreamResponse,
  sentAtMs: number,
): NodeJS.Timeout {
  const boundMs = route.channel.snapshot.firstByteTimeoutMs ?? parts.firstByteTimeoutMs;
  const leftMs = Math.max(0, boundMs - (parts.clock.monotonicMs() - sentAtMs));
  return setTimeout(() => {
    if (!request.answering) answer.body.destroy(new errors.BodyTimeoutError("no first byte in time"));
  }, leftMs);
}

const backOffMs = 200;

/**
 * Half of it at least, the rest by chance, so that the clients of one failure do not come back together. Rejects when the client
 * leaves.
 */
function backOff(gone: Cancelled): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => {
        unheed();
        resolve();
      },
      backOffMs * (0.5 + Math.random() / 2),
    );
    const unheed = gone.onAbort(() => {
      clearTimeout(timer);
      reject(new Error("the client has left", { cause: gone.reason }));
    });
  });
}

/** Ends a request that did not finish: who ended it decides the charge, and what the client still gets. */
function fail(context: V1Context, request: MeteredRequest, exchange: Exchange, error: unknown): void {
  if (context.clientGone.aborted) {
    request.close({ ending: "client_closed", httpStatus: 499, errorCode: "client_closed_request" });
    context.facts.status = 499;
    context.facts.code = "client_closed_request";
    return;
  }
  const { headersSent } = context.res;
  const failure = headersSent ? midStream(error) : toAppError(error);
  const httpStatus = headersSent ? 200 : httpStatusOf[failure.kind].status;
  request.close({ ending: "upstream_cut", httpStatus, errorCode: failure.code });
  context.facts.code = failure.code;
  if (!headersSent) throw failure;
  const last = exchange.cutWith(failure);
  if (last === undefined) context.res.destroy();
  else context.res.end(last);
}

function midStream(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError({
    kind: "upstream",
    code: "stream_interrupted",
    publicMessage:
      "The model's provider broke off in the middle of the answer. You are charged for what was delivered, at most.",
    cause: error,
  });
}

function notSpoken(): AppError {
  return new AppError({
    kind: "invalid",
    code: "invalid_request",
    publicMessage: "This model does not take requests at this URL. GET /v1/models lists what there is.",
    param: "model",
  });
}

/** Nothing new can be taken at the moment; 503, and the client may try again. */
export function overloaded(): AppError {
  return new AppError({
    kind: "unavailable",
    code: "overloaded",
    publicMessage: "The gateway cannot take new requests at the moment. Please try again shortly.",
    retryAfterSeconds: 2,
  });
}
