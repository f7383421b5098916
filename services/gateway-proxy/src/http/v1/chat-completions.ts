import { AppError, toAppError, type MicroTokens } from "@codex/kernel";
import type { ResolvedKey } from "../../app/key-cache.ts";
import type { Admission } from "../../app/lender.ts";
import { MeteredRequest } from "../../app/metered-request.ts";
import type { Route } from "../../app/catalogue.ts";
import { parseChatRequest, upstreamBody, type ChatRequest } from "../../domain/chat-request.ts";
import { holdFor, shortenedHold, type Hold, type HoldInput, type HoldTerms } from "../../domain/hold.ts";
import { requestText } from "../../domain/request-text.ts";
import { errorOfStatus, transportFailure, type UpstreamResponse } from "../../upstream/openai.ts";
import type { GatewayParts, V1Context } from "./context.ts";
import { renderError } from "./errors.ts";
import { readJsonBody } from "./read-body.ts";
import { relayJson } from "./relay-json.ts";
import { relayStream } from "./relay-stream.ts";

/** POST /v1/chat/completions: the hot path of docs/architecture.md §The path of one request. */
export async function chatCompletions(parts: GatewayParts, context: V1Context, key: ResolvedKey): Promise<void> {
  const body = await readJsonBody(context.req);
  const chat = parseChatRequest(body.value);
  context.facts.model = chat.model.slice(0, 128);
  const offer = parts.catalogue.offer(chat.model, key.models);
  if (parts.spool().full) throw overloaded();
  const startedAt = parts.clock.now();
  const { price, groups } = offer;
  // Before the first lease nobody knows the account's group, and the hold is for the dearest.
  const priceGroup = groups.length === 0 ? undefined : parts.lender.priceGroupOf(key.accountId);
  const terms = { price, groups, priceGroup, startedAt: startedAt.toISOString() };
  const admission = await admit(parts, key, chat, body.bytes, terms);
  const request = new MeteredRequest(
    {
      requestId: context.requestId,
      accountId: key.accountId,
      keyId: key.keyId,
      ticket: admission.ticket,
      offer,
      priceGroup: admission.ticket.lease.priceGroup,
      startedAt,
      route: "/v1/chat/completions",
      streamed: chat.stream,
      inputBytes: body.bytes,
    },
    {
      spool: parts.spool(),
      settle: (ticket, cost) => parts.lender.settle(ticket, cost),
      onDoubt: (doubt) => parts.events.usageDoubted(doubt),
      clock: parts.clock,
    },
  );
  await forward(parts, context, request, chat, admission.hold);
}

/** Holds the worst case by the cheap bound; only when it does not fit is the text counted, and then the answer shortened. */
function admit(
  parts: GatewayParts,
  key: ResolvedKey,
  chat: ChatRequest,
  bodyBytes: number,
  terms: HoldTerms,
): Promise<Admission> {
  let input: HoldInput = {
    bodyBytes,
    imageUrls: chat.imageUrls,
    outputTokensAsked: chat.outputTokensAsked,
    answers: chat.answers,
  };
  return parts.lender.admit(key, holdFor(terms, input), {
    async tighten() {
      const text = requestText(chat.body);
      if (!text) return undefined;
      const counted = await parts.counter.count(text.pieces);
      if (counted === undefined) return undefined;
      input = { ...input, countedTokens: counted + text.overheadTokens };
      return holdFor(terms, input);
    },
    shorten: (available: MicroTokens) => shortenedHold(terms, input, available),
  });
}

async function forward(
  parts: GatewayParts,
  context: V1Context,
  request: MeteredRequest,
  chat: ChatRequest,
  hold: Hold,
): Promise<void> {
  const { routes } = request.init.offer;
  request.open(routes[0]?.channelName ?? "");
  try {
    await tryRoutes(parts, context, request, chat, hold);
  } catch (error) {
    fail(context, request, error);
  } finally {
    context.facts.costMicroTokens = request.close({
      ending: "upstream_cut",
      httpStatus: 500,
      errorCode: "internal_error",
    }).charge.cost;
  }
}

/** The next route is tried only while nothing has been sent to the client, and not for the client's own mistakes. */
async function tryRoutes(
  parts: GatewayParts,
  context: V1Context,
  request: MeteredRequest,
  chat: ChatRequest,
  hold: Hold,
): Promise<void> {
  let failure: AppError | undefined;
  for (const route of request.init.offer.routes) {
    request.channel = route.channelName;
    try {
      await tryRoute(parts, context, request, chat, hold, route);
      return;
    } catch (error) {
      if (context.clientGone.aborted || context.res.headersSent) throw error;
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
  throw failure ?? overloaded();
}

async function tryRoute(
  parts: GatewayParts,
  context: V1Context,
  request: MeteredRequest,
  chat: ChatRequest,
  hold: Hold,
  route: Route,
): Promise<void> {
  const upstream = await parts.upstream.call({
    baseUrl: route.baseUrl,
    secret: route.sealedSecret === null ? undefined : parts.unseal(route),
    path: "/chat/completions",
    body: upstreamBody(chat, route.upstreamModel, hold.outputTokens),
    stream: chat.stream,
    requestId: context.requestId,
    signal: context.clientGone,
  });
  if (upstream.status !== 200) throw await refused(upstream);
  request.accepted = true;
  const checkAlive = (): void => {
    if (context.keyRevoked()) throw revokedMidway();
  };
  if (chat.stream) await relayStream(upstream, request, context.res, checkAlive);
  else await relayJson(upstream, request, context.res);
}

/** Reads a bounded part of the refusal so that the connection can be used again; its text goes nowhere. */
async function refused(upstream: UpstreamResponse): Promise<AppError> {
  await upstream.body.dump({ limit: 65_536 }).catch(() => undefined);
  return errorOfStatus(upstream.status, upstream.retryAfterSeconds);
}

/** Ends a request that did not finish: who ended it decides the charge, and what the client still gets. */
function fail(context: V1Context, request: MeteredRequest, error: unknown): void {
  if (context.clientGone.aborted) {
    request.close({ ending: "client_closed", httpStatus: 499, errorCode: "client_closed_request" });
    context.facts.status = 499;
    context.facts.code = "client_closed_request";
    return;
  }
  const failure = context.res.headersSent ? midStream(error) : toAppError(error);
  const rendered = renderError(failure, context.requestId);
  request.close({
    ending: "upstream_cut",
    httpStatus: context.res.headersSent ? 200 : rendered.status,
    errorCode: failure.code,
  });
  context.facts.code = failure.code;
  if (!context.res.headersSent) {
    throw failure;
  }
  // An explicit error event and no [DONE]: a cut answer must never look like a whole one.
  context.res.end(`data: ${rendered.body}\n\n`);
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

function overloaded(): AppError {
  return new AppError({
    kind: "unavailable",
    code: "overloaded",
    publicMessage: "The gateway cannot take new requests at the moment. Please try again shortly.",
    retryAfterSeconds: 2,
  });
}
