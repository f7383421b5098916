import { httpStatusOf } from "@codex/http";
import { AppError, toAppError } from "@codex/kernel";
import type { Route } from "../../app/catalogue.ts";
import type { MeteredRequest } from "../../app/metered-request.ts";
import type { Operation } from "../../domain/operation.ts";
import { transportFailure, type UpstreamResponse } from "../../upstream/openai.ts";
import { callRoute } from "./call-route.ts";
import type { GatewayParts, V1Context } from "./context.ts";

/**
 * From an admitted request to its charge, for every endpoint: the channels are tried in turn until one answers, and the
 * request is closed exactly once. The endpoint says what goes out and how the answer is passed on.
 */

/** What goes to one channel. The transport adds the URL, the credentials and the headers that the channel's kind asks for. */
export interface OutgoingCall {
  /** The form of `body`: the client's own, or the one it was converted to for this channel. */
  readonly operation: Operation;
  readonly body: string | Uint8Array;
  /** `application/json` when absent. */
  readonly contentType?: string;
  /** Headers of the client that the endpoint lets through, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Exchange {
  /** The answer is asked for as server-sent events. */
  readonly stream: boolean;
  /**
   * Builds the call for one channel, at each attempt anew. An AppError of kind `invalid` says that this channel cannot
   * take the request: the next one is asked, and when none can, the client gets the first such error.
   */
  readonly prepare: (route: Route) => OutgoingCall;
  /**
   * Passes a 200 on and closes the request. What it throws before the first byte went to the client lets the next channel
   * be tried; afterwards it cuts the answer. `checkAlive` throws when the key was revoked meanwhile; call it for each piece.
   */
  readonly relay: (answer: UpstreamResponse, route: Route, checkAlive: () => void) => Promise<void>;
  /**
   * The last bytes of an answer that is cut after its head was sent: an error of the dialect, never a clean end. Undefined:
   * there is no way to say it, and the connection is broken.
   */
  readonly cutWith: (error: AppError) => string | undefined;
}

/** Ends the request whatever happens. Throws the AppError to answer with while nothing has been sent. */
export async function forward(
  parts: GatewayParts,
  context: V1Context,
  request: MeteredRequest,
  exchange: Exchange,
): Promise<void> {
  request.open(request.init.offer.routes[0]?.channelName ?? "");
  try {
    await tryRoutes(parts, context, request, exchange);
  } catch (error) {
    fail(context, request, exchange, error);
  } finally {
    context.facts.costMicroTokens = request.close({
      ending: "upstream_cut",
      httpStatus: 500,
      errorCode: "internal_error",
    }).charge.cost;
  }
}

/** The next route is tried only while nothing of an answer has been sent to the client, and not for the client's own mistakes. */
async function tryRoutes(
  parts: GatewayParts,
  context: V1Context,
  request: MeteredRequest,
  exchange: Exchange,
): Promise<void> {
  let failure: AppError | undefined;
  let unfit: AppError | undefined;
  for (const route of request.init.offer.routes) {
    const prepared = prepare(exchange, route);
    if (prepared instanceof AppError) {
      unfit ??= prepared;
      continue;
    }
    request.channel = route.channelName;
    try {
      await tryRoute(parts, context, request, exchange, route, prepared);
      return;
    } catch (error) {
      if (context.clientGone.aborted || request.begun) throw error;
      failure = transportFailure(error) ?? toAppError(error);
      if (failure.kind === "invalid" || failure.kind === "internal") throw failure;
      request.leaveChannel();
      parts.logger.warn("upstream attempt failed", {
        requestId: context.requestId,
        code: failure.code,
        name: route.channelName,
      });
    }
  }
  throw failure ?? unfit ?? overloaded();
}

/** The call, or why this channel cannot take the request. */
function prepare(exchange: Exchange, route: Route): OutgoingCall | AppError {
  try {
    return exchange.prepare(route);
  } catch (error) {
    if (error instanceof AppError && error.kind === "invalid") return error;
    throw error;
  }
}

async function tryRoute(
  parts: GatewayParts,
  context: V1Context,
  request: MeteredRequest,
  exchange: Exchange,
  route: Route,
  call: OutgoingCall,
): Promise<void> {
  const upstream = await callRoute(parts, context, route, call, exchange.stream);
  request.accepted = true;
  await exchange.relay(upstream, route, () => {
    if (context.keyRevoked()) throw revokedMidway();
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

function revokedMidway(): AppError {
  return new AppError({
    kind: "unauthenticated",
    code: "key_revoked",
    publicMessage: "This API key was revoked while the answer was running. You are charged for what was delivered.",
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
