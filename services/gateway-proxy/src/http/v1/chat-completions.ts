import type { MicroTokens } from "@codex/kernel";
import type { ResolvedKey } from "../../app/key-cache.ts";
import type { Admission } from "../../app/lender.ts";
import { MeteredRequest } from "../../app/metered-request.ts";
import { affinityOf } from "../../domain/affinity.ts";
import { parseChatRequest, upstreamBody, type ChatRequest } from "../../domain/chat-request.ts";
import { holdFor, shortenedHold, type HoldInput, type HoldTerms } from "../../domain/hold.ts";
import { requestText } from "../../domain/request-text.ts";
import type { GatewayParts, V1Context } from "./context.ts";
import { renderError } from "./errors.ts";
import { forward, overloaded } from "./forward.ts";
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
  await forward(parts, context, request, {
    stream: chat.stream,
    session: affinityOf(key.keyId, chat.body),
    prepare: (route) => ({
      operation: "chat",
      body: upstreamBody(chat, route.upstreamModel, admission.hold.outputTokens),
    }),
    relay: (answer, _route, checkAlive) =>
      chat.stream ? relayStream(answer, request, context.res, checkAlive) : relayJson(answer, request, context.res),
    // An explicit error event and no [DONE]: a cut answer must never look like a whole one.
    cutWith: (error) => `data: ${renderError(error, context.requestId).body}\n\n`,
  });
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
