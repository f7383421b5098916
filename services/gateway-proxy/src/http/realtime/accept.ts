import { AppError, hashApiKey, newId, toAppError, type RequestId } from "@codex/kernel";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import type { Offer } from "../../app/catalogue.ts";
import type { ResolvedKey } from "../../app/key-cache.ts";
import { limitExceeded } from "../../app/limit-errors.ts";
import type { Taken } from "../../app/request-limiter.ts";
import { realtimeRoute, ResponseFunds, type FundsPorts, type RealtimeOffer } from "../../app/response-funds.ts";
import { unsupported, invalid } from "../../domain/fields.ts";
import { clientNameOf } from "../../domain/client-name.ts";
import { ConversationBound } from "../../domain/realtime/conversation-bound.ts";
import { speaks } from "../../upstream/kinds/index.ts";
import type { GatewayParts, RequestFacts } from "../v1/context.ts";
import { readWebSocketKey } from "../v1/credentials.ts";
import { renderError } from "../v1/errors.ts";
import { overloaded } from "../v1/forward.ts";
import { checkAddress, clientAddressOf, starting } from "../v1/router.ts";
import { endSocket, realtimePath, refuseWebSocket } from "../v1/upgrade.ts";
import { openUpstream, type UpstreamSession } from "./open-upstream.ts";
import { RealtimeSession } from "./session.ts";
import { Side } from "./side.ts";

/**
 * From a request for a websocket to a running session. What is refused is refused before the handshake, as an HTTP answer
 * (docs/adr/0017-realtime.md).
 */

export interface RealtimeOptions {
  readonly sessionsMax: number;
  /** Silence of a client that ends its session. */
  readonly idleMs: number;
  readonly sessionMs: number;
}

const messageBytesMax = 4_194_304;

/** What was taken for a session before its handshake. */
interface Admitted {
  readonly apiKey: string;
  /** The client's. */
  readonly address: string;
  readonly key: ResolvedKey;
  readonly offer: RealtimeOffer;
  readonly conversation: ConversationBound;
  readonly standing: ResponseFunds;
  readonly slot: Taken;
}

export class RealtimeSessions {
  private readonly parts: GatewayParts;
  private readonly options: RealtimeOptions;
  private readonly funds: FundsPorts;
  private readonly server: WebSocketServer;
  private readonly sessions = new Set<RealtimeSession>();
  /** Handshakes and sessions, to the end of their bookkeeping. */
  private readonly work = new Set<Promise<void>>();
  private closing = false;

  constructor(parts: GatewayParts, options: RealtimeOptions) {
    this.parts = parts;
    this.options = options;
    const { lender, limiter, spool, events, clock } = parts;
    this.funds = { lender, limiter, spool, onDoubt: (doubt) => events.usageDoubted(doubt), clock };
    this.server = new WebSocketServer({
      noServer: true,
      maxPayload: messageBytesMax,
      perMessageDeflate: false,
      // Never the one that holds a key.
      handleProtocols: (offered) => (offered.has("realtime") ? "realtime" : false),
    });
  }

  /** Takes the socket of a request that asks for a websocket. */
  readonly accept = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (req.url?.split("?")[0] !== realtimePath) {
      refuseWebSocket(req, socket);
      return;
    }
    const work = this.serve(req, socket, head).finally(() => this.work.delete(work));
    this.work.add(work);
  };

  /** No new sessions; running responses get a moment to end. */
  async close(): Promise<void> {
    this.closing = true;
    for (const session of this.sessions) session.drain();
    await Promise.all(this.work);
  }

  /** Never rejects. */
  private async serve(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { clock, events, logger } = this.parts;
    const startedMs = clock.monotonicMs();
    const requestId = newId("req");
    const facts: RequestFacts = {
      status: 101,
      route: realtimeRoute,
      model: undefined,
      code: undefined,
      accountId: undefined,
      keyId: undefined,
      costMicroTokens: undefined,
    };
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    // A client that resets the connection is an ordinary event; nothing is left to be told.
    socket.on("error", () => socket.destroy());
    socket.once("close", leave);
    try {
      await this.open(req, socket, head, requestId, facts, gone.signal);
    } catch (thrown) {
      const error = toAppError(thrown);
      if (error.kind === "internal") logger.error("request failed", { requestId, error: thrown });
      const rendered = renderError("openai", error, requestId);
      facts.status = gone.signal.aborted ? 499 : rendered.status;
      facts.code = gone.signal.aborted ? "client_closed_request" : error.code;
      const headers = { ...rendered.headers, "content-type": "application/json", connection: "close" };
      endSocket(socket, { ...rendered, headers });
    } finally {
      socket.off("close", leave);
    }
    events.requestEnded({ ...facts, requestId, durationMs: clock.monotonicMs() - startedMs });
  }

  private async open(
    req: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    requestId: RequestId,
    facts: RequestFacts,
    signal: AbortSignal,
  ): Promise<void> {
    const admitted = await this.admit(req, requestId, facts);
    let upstream: UpstreamSession | undefined;
    let failed = false;
    try {
      const { routes } = admitted.offer;
      const userId = this.parts.opaqueUser(admitted.key.accountId);
      upstream = await openUpstream(this.parts, { requestId, userId, routes, messageBytesMax, signal });
      if (signal.aborted || this.closing) throw overloaded();
      const client = await this.handshake(req, socket, head, requestId);
      const end = await this.run(client, upstream, admitted, requestId);
      failed = end.upstreamFailed;
      facts.code = end.code;
      facts.costMicroTokens = end.cost;
    } finally {
      upstream?.leave(failed);
      upstream?.socket.terminate();
      admitted.standing.release();
      admitted.slot.end(0);
    }
  }

  /** Everything that a session needs of us. Throws AppError; then nothing is held. */
  private async admit(req: IncomingMessage, requestId: RequestId, facts: RequestFacts): Promise<Admitted> {
    const { parts } = this;
    checkHandshake(req);
    if (!parts.catalogue.priced) throw starting();
    if (this.closing || this.work.size >= this.options.sessionsMax) throw overloaded();
    const apiKey = readWebSocketKey(req);
    const address = clientAddressOf(parts, req);
    const key = await parts.keys.authenticate(apiKey, () => address);
    facts.accountId = key.accountId;
    facts.keyId = key.keyId;
    checkAddress(parts, req, key);
    parts.keyUses.add(key.keyId, () => clientNameOf(req.headers["user-agent"]));
    const limited = parts.limiter.limitedOf(key);
    const known = parts.limiter.known(limited);
    if (known?.refusal) throw limitExceeded(limited, known.refusal);
    const slot = await parts.limiter.take(limited, { requestId, tokens: 0, slot: true });
    if (slot.answer.refusal) throw limitExceeded(slot.of, slot.answer.refusal);
    try {
      const model = modelIn(req);
      facts.model = model.slice(0, 128);
      const offer = realtimeOffer(parts.catalogue.offer(model, key.models));
      if (parts.spool().full) throw overloaded();
      const conversation = new ConversationBound(Math.max(offer.price.contextTokens, offer.sound.contextTokens));
      const standing = await ResponseFunds.admit(this.funds, offer, key, conversation);
      return { apiKey, address, key, offer, conversation, standing, slot };
    } catch (error) {
      slot.end(0);
      throw error;
    }
  }

  private handshake(req: IncomingMessage, socket: Duplex, head: Buffer, requestId: RequestId): Promise<WebSocket> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error("the handshake failed"));
      socket.once("close", ended);
      const named = (headers: string[], of: IncomingMessage): void => {
        if (of === req) headers.push(`x-request-id: ${requestId}`);
      };
      this.server.on("headers", named);
      try {
        this.server.handleUpgrade(req, socket, head, (client) => {
          socket.off("close", ended);
          // Until somebody listens.
          client.pause();
          resolve(client);
        });
      } finally {
        this.server.off("headers", named);
      }
    });
  }

  private async run(
    client: WebSocket,
    upstream: UpstreamSession,
    { apiKey, address, offer, conversation, standing }: Admitted,
    requestId: RequestId,
  ): ReturnType<() => RealtimeSession["ended"]> {
    const { keys, logger } = this.parts;
    const keyHash = hashApiKey(apiKey);
    const session = new RealtimeSession({
      requestId,
      offer,
      route: upstream.route,
      client: new Side(client),
      upstream: new Side(upstream.socket),
      conversation,
      standing,
      funds: this.funds,
      authenticate: () => keys.authenticate(apiKey, () => address),
      keyRevoked: () => keys.isRevoked(keyHash),
      onDefect: (error) => logger.error("realtime session failed", { requestId, error }),
      idleMs: this.options.idleMs,
      sessionMs: this.options.sessionMs,
    });
    this.sessions.add(session);
    if (this.closing) session.drain();
    try {
      return await session.ended;
    } finally {
      this.sessions.delete(session);
    }
  }
}

/** RFC 6455 §4.2.1, before anybody is asked for anything; `ws` checks the same once more. */
function checkHandshake({ method, headers }: IncomingMessage): void {
  const key = headers["sec-websocket-key"] ?? "";
  if (method !== "GET" || !/^[+/0-9A-Za-z]{22}==$/.test(key) || headers["sec-websocket-version"] !== "13")
    throw invalid("", "This is no websocket handshake of RFC 6455, version 13.");
}

/** Of the query. Throws AppError (kind `invalid`). */
function modelIn(req: IncomingMessage): string {
  const query = new URLSearchParams(req.url?.split("?")[1] ?? "");
  for (const name of ["intent", "call_id"]) {
    if (query.has(name)) throw unsupported(name, "Sessions here are conversations with a model over this websocket.");
  }
  const models = query.getAll("model");
  if (models.length !== 1 || models[0] === undefined || models[0] === "") {
    throw invalid("model", "You must name one model: /v1/realtime?model=…");
  }
  return models[0];
}

/** With the channels that take sessions. Throws AppError `model_not_supported`. */
function realtimeOffer(offer: Offer): RealtimeOffer {
  const routes = offer.routes.filter(({ kind }) => speaks(kind, "realtime"));
  const { sound } = offer;
  if (sound && routes.length > 0) return { ...offer, sound, routes };
  throw new AppError({
    kind: "not_found",
    code: "model_not_supported",
    publicMessage: `The model '${offer.price.model}' cannot be used at ${realtimeRoute}.`,
    param: "model",
  });
}
