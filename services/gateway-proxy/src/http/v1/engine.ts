import { AppError, type MicroTokens } from "@codex/kernel";
import type { Offer, Route } from "../../app/catalogue.ts";
import type { ResolvedKey } from "../../app/key-cache.ts";
import type { Admission } from "../../app/lender.ts";
import { MeteredRequest } from "../../app/metered-request.ts";
import { affinityOf } from "../../domain/affinity.ts";
import type { ClientHeaders, Endpoint, ParsedRequest } from "../../domain/endpoint.ts";
import type { Json } from "../../domain/fields.ts";
import { holdFor, shortenedHold, type HoldInput, type HoldTerms } from "../../domain/hold.ts";
import { looksForTextAbove, tokensEstimate } from "../../domain/token-estimate.ts";
import type { StreamState } from "../../domain/stream-state.ts";
import type { UpstreamResponse } from "../../upstream/transport.ts";
import { clientHeaders } from "./client-headers.ts";
import { ClientStream } from "./client-stream.ts";
import type { GatewayParts, KeyContext, V1Context } from "./context.ts";
import { convertedEvents } from "./converted-events.ts";
import { convert, wayTo, type Converted } from "./converters.ts";
import { renderCut } from "./errors.ts";
import { forward, overloaded, type Exchange } from "./forward.ts";
import { readBody } from "./read-body.ts";
import { relayConvertedJson, relayJson } from "./relay-json.ts";
import { relayRaw } from "./relay-raw.ts";
import { nativeEvents, relayStream } from "./relay-stream.ts";

/**
 * The hot path of docs/architecture.md §The path of one request, the same for every endpoint that is charged: read the body,
 * parse, look the model up, ask the limits and hold the worst case, open in the spool, forward with fallback, relay, close.
 */

/** A client that takes nothing of its answer for this long is gone. */
const stalledReaderMs = 120_000;

export async function serveEndpoint<R extends ParsedRequest>(
  endpoint: Endpoint<R>,
  parts: GatewayParts,
  context: KeyContext,
): Promise<void> {
  const { key, limits } = context;
  const { body, share } = await readBody(context.req, endpoint.accepts, parts.bodyMemory);
  try {
    const headers = clientHeaders(context.req, endpoint.forwardedHeaders);
    const parsed = endpoint.parse(body, headers);
    context.facts.model = parsed.model.slice(0, 128);
    const offer = offerFor(endpoint, parts, parsed.model, key);
    if (parts.spool().full) throw overloaded();
    const startedAt = parts.clock.now();
    const bound = endpoint.bound(parsed);
    const tokens = thoughtToUse(endpoint, parsed, bound, offer);
    const admitted = admit(endpoint, parts, key, parsed, bound, offer, startedAt);
    const admission = await withinLimits(parts, limits.take(tokens, true), admitted);
    const request = meteredRequest(endpoint, parts, context, parsed, bound, offer, admission, startedAt);
    // Requests of one conversation meet the same channel and key, where the provider's prompt cache knows them.
    const session = body.kind === "json" ? affinityOf(key.keyId, body.value as Json) : undefined;
    const exchange = exchangeOf(endpoint, parts, context, parsed, headers, request, admission, session);
    await forward(parts, context, request, exchange).finally(() => {
      limits.usedTokens = request.usedTokens;
    });
  } finally {
    share.release();
  }
}

/**
 * Limits and money are asked at the same time, both before the upstream. Who is over a limit hears that, at once and whatever
 * the balance is; what was held meanwhile is released.
 */
async function withinLimits(
  { lender }: Pick<GatewayParts, "lender">,
  limited: Promise<void>,
  admitted: Promise<Admission>,
): Promise<Admission> {
  // A refusal that comes before the limits have answered is looked at after them.
  admitted.catch(() => undefined);
  try {
    await limited;
  } catch (error) {
    admitted.then(
      ({ ticket }) => lender.settle(ticket, 0n),
      () => undefined,
    );
    throw error;
  }
  return admitted;
}

/** A large body may hold pictures, whose bytes are no text: only then is the text looked for. */
function thoughtToUse<R extends ParsedRequest>(
  endpoint: Endpoint<R>,
  parsed: R,
  bound: HoldInput,
  { price }: Offer,
): number {
  const text = bound.bodyBytes > looksForTextAbove ? endpoint.text(parsed) : undefined;
  return tokensEstimate(bound, price.outputTokensMax, text);
}

/** The offer with the channels that can serve this endpoint. Throws AppError `model_not_found` and its kin. */
export function offerFor(
  endpoint: Pick<Endpoint<ParsedRequest>, "operation" | "path">,
  parts: GatewayParts,
  model: string,
  key: ResolvedKey,
): Offer {
  const offer = parts.catalogue.offer(model, key.models);
  const routes = offer.routes.filter((route) => wayTo(endpoint.operation, route) !== undefined);
  if (routes.length > 0) return routes.length === offer.routes.length ? offer : { ...offer, routes };
  throw new AppError({
    kind: "not_found",
    code: "model_not_supported",
    publicMessage: `The model '${model}' cannot be used with POST ${endpoint.path}. GET /v1/models lists what there is.`,
    param: "model",
  });
}

/** Holds the worst case by the cheap bound; only when it does not fit is the text counted, and then the answer shortened. */
function admit<R extends ParsedRequest>(
  endpoint: Endpoint<R>,
  parts: GatewayParts,
  key: ResolvedKey,
  parsed: R,
  bound: HoldInput,
  { price, groups }: Offer,
  startedAt: Date,
): Promise<Admission> {
  // Before the first lease nobody knows the account's group, and the hold is for the dearest.
  const priceGroup = groups.length === 0 ? undefined : parts.lender.priceGroupOf(key.accountId);
  const terms: HoldTerms = { price, groups, priceGroup, startedAt: startedAt.toISOString() };
  let input = bound;
  return parts.lender.admit(key, holdFor(terms, input), {
    async tighten() {
      const text = endpoint.text(parsed);
      if (!text) return undefined;
      const counted = await parts.counter.count(text.pieces);
      if (counted === undefined) return undefined;
      input = { ...input, countedTokens: counted + text.overheadTokens };
      return holdFor(terms, input);
    },
    shorten: (available: MicroTokens) => shortenedHold(terms, input, available),
  });
}

function meteredRequest<R extends ParsedRequest>(
  endpoint: Endpoint<R>,
  parts: GatewayParts,
  { requestId, key }: KeyContext,
  parsed: R,
  bound: HoldInput,
  offer: Offer,
  admission: Admission,
  startedAt: Date,
): MeteredRequest {
  return new MeteredRequest(
    {
      requestId,
      accountId: key.accountId,
      keyId: key.keyId,
      ticket: admission.ticket,
      offer,
      priceGroup: admission.ticket.lease.priceGroup,
      startedAt,
      route: endpoint.path,
      streamed: parsed.stream,
      inputBytes: bound.bodyBytes,
    },
    {
      spool: parts.spool(),
      settle: (ticket, cost) => parts.lender.settle(ticket, cost),
      onDoubt: (doubt) => parts.events.usageDoubted(doubt),
      clock: parts.clock,
    },
  );
}

function exchangeOf<R extends ParsedRequest>(
  endpoint: Endpoint<R>,
  parts: GatewayParts,
  context: V1Context,
  parsed: R,
  headers: ClientHeaders,
  request: MeteredRequest,
  admission: Admission,
  session: number | undefined,
): Exchange {
  const { outputTokens } = admission.hold;
  const { res, requestId } = context;
  /** Of the channel that answered last. */
  let state: StreamState | undefined;
  /** Of the channel that is asked, if it speaks another dialect. It holds the whole request: it is let go when the answer begins. */
  let converted: Converted | undefined;
  const native = (route: Route): boolean => wayTo(endpoint.operation, route) === "native";
  const client = parsed.stream ? new ClientStream(res, endpoint.dialect, parts.keepAliveMs) : undefined;
  return {
    stream: parsed.stream,
    session,
    native,
    prepare: (route) => {
      const { operation } = endpoint;
      const outgoing = endpoint.outgoing(parsed, { model: route.upstreamModel, outputTokens });
      converted = undefined;
      if (native(route)) return { operation, ...outgoing, headers };
      const createdAt = Math.floor(parts.clock.now().getTime() / 1_000);
      converted = convert({ operation, route, outgoing, outputTokens, model: parsed.model, requestId, createdAt });
      return converted.call;
    },
    relay: async (answer, _route, checkAlive) => {
      state = endpoint.stream?.(parsed);
      if (client && state) {
        const source = converted ? convertedEvents(converted.stream()) : nativeEvents(state);
        converted = undefined;
        await relayStream(answer, state, source, request, client, checkAlive, stalledReaderMs);
        return;
      }
      await relayPlain(endpoint, answer, converted?.answer, parsed, request, context, checkAlive);
    },
    cutWith: (error) => {
      client?.stop();
      // Signs of life have sent the status, and no channel has answered yet: the dialect's way to end is the same.
      state ??= endpoint.stream?.(parsed);
      const cut = state?.cut?.bind(state);
      return client ? renderCut(endpoint.dialect, error, requestId, cut) : undefined;
    },
  };
}

async function relayPlain<R extends ParsedRequest>(
  endpoint: Endpoint<R>,
  answer: UpstreamResponse,
  convertAnswer: Converted["answer"] | undefined,
  parsed: R,
  request: MeteredRequest,
  { res }: V1Context,
  checkAlive: () => void,
): Promise<void> {
  const raw = endpoint.raw?.(parsed);
  if (convertAnswer) await relayConvertedJson(answer, convertAnswer, endpoint.json, parsed, request, res);
  else if (raw) await relayRaw(answer, raw, parsed, request, res, checkAlive, stalledReaderMs);
  else await relayJson(answer, endpoint.json, parsed, request, res);
}
