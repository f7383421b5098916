import { AppError, toAppError, type MicroTokens, type RequestId } from "@codex/kernel";
import type { RawData, WebSocket } from "ws";
import type { Route } from "../../app/catalogue.ts";
import type { ResolvedKey } from "../../app/key-cache.ts";
import { answerTokensMax, ResponseFunds, type FundsPorts, type RealtimeOffer } from "../../app/response-funds.ts";
import { RunningResponse } from "../../app/running-response.ts";
import { eventIdOf, readClientEvent, unreadableEvent, type ClientEvent } from "../../domain/realtime/client-event.ts";
import type { ConversationBound } from "../../domain/realtime/conversation-bound.ts";
import { pcmBytesPerMs } from "../../domain/realtime/sound-format.ts";
import { splitUsage } from "../../domain/realtime/split-usage.ts";
import {
  pieceOf,
  readUpstreamEvent,
  responseFacts,
  soundFormats,
  withCost,
  withheldTypes,
  withModel,
  withoutWords,
  type UpstreamEvent,
} from "../../domain/realtime/upstream-event.ts";
import { costFields } from "../v1/cost.ts";
import {
  clientLeft,
  errorEvent,
  interrupted,
  notText,
  revokedMidway,
  sessionEnded,
  stopping,
  tooManyResponses,
} from "./errors.ts";
import { Sequence } from "./sequence.ts";
import type { Side } from "./side.ts";

/** One session between its handshake and its end; docs/adr/0017-realtime.md says what it must do. */

export interface SessionInit {
  readonly requestId: RequestId;
  readonly offer: RealtimeOffer;
  readonly route: Route;
  readonly client: Side;
  readonly upstream: Side;
  readonly conversation: ConversationBound;
  /** For the first response. */
  readonly standing: ResponseFunds;
  readonly funds: FundsPorts;
  /** Judges the key anew. Throws AppError when it may not be used any more, or nobody can say. */
  readonly authenticate: () => Promise<ResolvedKey>;
  readonly keyRevoked: () => boolean;
  /** An error that is ours. */
  readonly onDefect: (error: unknown) => void;
  readonly idleMs: number;
  readonly sessionMs: number;
}

export interface SessionEnd {
  readonly code: string | undefined;
  readonly cost: MicroTokens;
  /** The upstream broke off. */
  readonly upstreamFailed: boolean;
}

const responsesMax = 8;
const watchEveryMs = 1_000;
/** After a cancel, for the upstream's own count of what it has done. */
const lastWordMs = 500;
const closeMs = 300;
const drainMs = 5_000;
const closeCodes = { ok: 1000, goingAway: 1001, unsupported: 1003, policy: 1008, internal: 1011 } as const;

interface Ending {
  readonly by: "client" | "us" | "upstream";
  readonly error: AppError | undefined;
  readonly closeCode: number;
}

export class RealtimeSession {
  private readonly init: SessionInit;
  private readonly fromClient: Sequence;
  private readonly fromUpstream: Sequence;
  private readonly done = Promise.withResolvers<SessionEnd>();
  private readonly free: ResponseFunds[];
  private readonly running = new Map<string, RunningResponse>();
  /** `response.create` events that went upstream and of which no response is known yet. */
  private asked = 0;
  private inputBytesPerMs = pcmBytesPerMs;
  private outputBytesPerMs = pcmBytesPerMs;
  private cost: MicroTokens = 0n;
  private ending: Ending | undefined;
  private finished = false;
  private heardAtMs: number;
  private readonly startedAtMs: number;
  private readonly watch: NodeJS.Timeout;
  private draining = false;

  constructor(init: SessionInit) {
    this.init = init;
    const { client, upstream, funds } = init;
    this.free = [init.standing];
    this.startedAtMs = funds.clock.monotonicMs();
    this.heardAtMs = this.startedAtMs;
    const failed = (error: unknown): void => this.refuse(toAppError(error));
    const busy = (side: Side) => (isBusy: boolean) => (isBusy ? side.hold("busy") : side.release("busy"));
    this.fromClient = new Sequence(busy(client), failed);
    this.fromUpstream = new Sequence(busy(upstream), failed);
    this.watch = setInterval(() => this.look(), watchEveryMs);
    client.socket.on("message", (data, isBinary) => this.fromClient.push(() => this.hear(data, isBinary)));
    upstream.socket.on("message", (data) => this.fromUpstream.push(() => this.answer(data)));
    client.socket.once("close", (code) => this.end({ by: "client", error: clientLeft(), closeCode: code }));
    upstream.socket.once("close", (code) => this.fromUpstream.push(() => this.upstreamClosed(code)));
    if (!client.isOpen) this.end({ by: "client", error: clientLeft(), closeCode: closeCodes.ok });
    if (!upstream.isOpen) this.upstreamClosed(closeCodes.internal);
    client.socket.resume();
    upstream.socket.resume();
  }

  /** When everything is charged and both ends are closed. Never rejects. */
  get ended(): Promise<SessionEnd> {
    return this.done.promise;
  }

  /** The gateway stops: what runs may end. */
  drain(): void {
    if (this.draining) return;
    this.draining = true;
    const stop = (): void => this.end({ by: "us", error: stopping(), closeCode: closeCodes.goingAway });
    if (this.running.size === 0) stop();
    else setTimeout(stop, drainMs).unref();
  }

  private hear(data: RawData, isBinary: boolean): void | Promise<void> {
    if (this.ending) return;
    this.heardAtMs = this.init.funds.clock.monotonicMs();
    if (isBinary) {
      this.end({ by: "us", error: notText(), closeCode: closeCodes.unsupported });
      return;
    }
    let parsed: unknown;
    try {
      parsed = JSON.parse(textOf(data));
    } catch (error) {
      this.tell(unreadableEvent(error));
      return;
    }
    try {
      const { offer } = this.init;
      const terms = { outputTokensMax: answerTokensMax(offer), inputBytesPerMs: this.inputBytesPerMs };
      const event = readClientEvent(parsed, terms);
      return this.sendOn(event, eventIdOf(parsed));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.tell(error, eventIdOf(parsed));
    }
  }

  /** Waits only where money must be asked for first. */
  private sendOn(event: ClientEvent, eventId: string | undefined): void | Promise<void> {
    const { conversation, upstream, client } = this.init;
    conversation.say(event.said);
    // Until the upstream confirms a format, the sound may be of either: the one with more milliseconds in a byte counts.
    if (event.inputBytesPerMs !== undefined)
      this.inputBytesPerMs = Math.min(this.inputBytesPerMs, event.inputBytesPerMs);
    const send = (): void => {
      if (this.ending) return;
      if (event.asks) this.asked += 1;
      upstream.send(event.json, client);
    };
    if (event.asks && this.asked + this.running.size >= responsesMax) {
      this.tell(tooManyResponses(responsesMax), eventId);
      return;
    }
    const [standing] = this.free;
    const grows = standing?.covers(conversation.bound()) === false;
    const another = event.asks && this.free.length <= this.asked;
    if (!grows && !another) {
      send();
      return;
    }
    return this.fund(grows && !another ? standing : undefined).then((funded) => {
      if (funded) send();
    });
  }

  private answer(data: RawData): void | Promise<void> {
    if (this.finished) return;
    const said = readUpstreamEvent(textOf(data));
    if (!said || withheldTypes.has(said.type)) return;
    switch (said.type) {
      case "session.created":
      case "session.updated": {
        const { input, output } = soundFormats(said.event);
        this.inputBytesPerMs = input ?? this.inputBytesPerMs;
        this.outputBytesPerMs = output ?? this.outputBytesPerMs;
        this.pass(withModel(said.event, this.init.offer.price.model));
        return;
      }
      case "response.created":
        return this.begin(said);
      case "response.done":
        return this.finish(said);
      case "error":
        this.asked = Math.max(0, this.asked - 1);
        this.pass(withoutWords(said.event));
        return;
      default:
        this.deliver(said);
    }
  }

  private begin(said: UpstreamEvent): void | Promise<void> {
    const { id, inConversation } = responseFacts(said.event);
    if (this.running.has(id)) return;
    this.asked = Math.max(0, this.asked - 1);
    const funds = this.free.shift();
    if (!funds) return this.fund(undefined).then((funded) => (funded ? this.begin(said) : undefined));
    const { conversation, route } = this.init;
    const input = conversation.estimate();
    const parts = funds.begin(route.channelName, input);
    route.channel.meter.asked();
    this.running.set(id, new RunningResponse(parts, input, conversation.mark(), inConversation));
    this.pass(said.event);
  }

  private finish(said: UpstreamEvent): void | Promise<void> {
    const { id, status, usage } = responseFacts(said.event);
    const response = this.running.get(id);
    if (!response) return;
    this.running.delete(id);
    const tokens = splitUsage(usage);
    const charged = response.finish(tokens, status === "failed");
    if (tokens && response.inConversation) this.init.conversation.answered(response.read, tokens);
    this.charged(charged.cost);
    const { cost, estimated, requestIds } = charged;
    const price = costFields({ cost, estimated }, this.init.offer.priceVersion);
    this.pass(withCost(said.event, { ...price, request_ids: requestIds }));
    if (this.ending) {
      if (this.running.size === 0) this.close();
      return;
    }
    if (this.draining && this.running.size === 0) {
      this.end({ by: "us", error: stopping(), closeCode: closeCodes.goingAway });
      return;
    }
    // Before the next event of the upstream is looked at: that may be another response.
    if (this.free.length === 0 && this.running.size === 0) return this.fund(undefined).then(() => undefined);
  }

  private deliver(said: UpstreamEvent): void {
    const piece = pieceOf(said);
    const response = piece && this.running.get(piece.responseId);
    if (piece && response) {
      response.delivered(piece.textBytes, piece.soundCharacters, this.outputBytesPerMs);
      if (response.exhausted && !response.cancelled) {
        response.cancelled = true;
        this.cancel(piece.responseId);
      }
    }
    // A piece of a response that nobody has seen begin is nobody's to pay.
    if (!piece || response) this.pass(said.event);
  }

  /** Another hold, in the place of `before` if there is one. False: there is none, and the session ends. */
  private async fund(before: ResponseFunds | undefined): Promise<boolean> {
    const { funds, offer, conversation, authenticate } = this.init;
    try {
      const key = await authenticate();
      const admitted = await ResponseFunds.admit(funds, offer, key, conversation, before);
      const at = before ? this.free.indexOf(before) : -1;
      if (at >= 0) this.free.splice(at, 1);
      // The session may have ended while the question was on its way.
      if (this.finished) {
        admitted.release();
        return false;
      }
      this.free.push(admitted);
      return true;
    } catch (error) {
      this.refuse(toAppError(error));
      return false;
    }
  }

  private look(): void {
    const nowMs = this.init.funds.clock.monotonicMs();
    const { idleMs, sessionMs, keyRevoked } = this.init;
    if (keyRevoked()) this.refuse(revokedMidway());
    else if (nowMs - this.startedAtMs >= sessionMs) this.refuse(sessionEnded("age"));
    else if (this.running.size === 0 && nowMs - this.heardAtMs >= idleMs) this.refuse(sessionEnded("idle"));
  }

  private refuse(error: AppError): void {
    if (error.kind === "internal") this.init.onDefect(error.cause ?? error);
    const closeCode = error.kind === "internal" || error.kind === "upstream" ? closeCodes.internal : closeCodes.policy;
    this.end({ by: "us", error, closeCode });
  }

  private upstreamClosed(code: number): void {
    const inOrder = code === closeCodes.ok && this.running.size === 0;
    const closeCode = inOrder ? closeCodes.ok : closeCodes.internal;
    this.end({ by: "upstream", error: inOrder ? undefined : interrupted(), closeCode });
    this.close();
  }

  /** Says why, once; then waits a moment for the upstream's count of what was running. */
  private end(ending: Ending): void {
    if (this.ending) return;
    this.ending = ending;
    clearInterval(this.watch);
    if (ending.error && ending.by !== "client") this.tell(ending.error);
    if (this.running.size === 0 || ending.by === "upstream") {
      this.close();
      return;
    }
    for (const id of this.running.keys()) this.cancel(id);
    setTimeout(() => this.close(), lastWordMs).unref();
  }

  private close(): void {
    if (this.finished || !this.ending) return;
    this.finished = true;
    const { by, error, closeCode } = this.ending;
    const { client, upstream } = this.init;
    for (const response of this.running.values())
      this.charged(response.cut(by === "client" ? "client_closed" : "upstream_cut", error ?? interrupted()).cost);
    this.running.clear();
    for (const funds of this.free.splice(0)) funds.release();
    client.close(closeCode, error?.code ?? "", closeMs);
    upstream.close(closeCodes.ok, "", closeMs);
    void Promise.all([closed(client.socket), closed(upstream.socket)]).then(() =>
      this.done.resolve({
        code: error?.code,
        cost: this.cost,
        upstreamFailed: by === "upstream" && error !== undefined,
      }),
    );
  }

  private charged(cost: MicroTokens): void {
    this.cost += cost;
    this.init.route.channel.meter.charged(cost);
  }

  private cancel(responseId: string): void {
    const { upstream, client } = this.init;
    upstream.send(JSON.stringify({ type: "response.cancel", response_id: responseId }), client);
  }

  private pass(event: Readonly<Record<string, unknown>>): void {
    this.init.client.send(JSON.stringify(event), this.init.upstream);
  }

  private tell(error: AppError, clientEventId?: string): void {
    this.init.client.send(errorEvent(error, this.init.requestId, clientEventId), this.init.upstream);
  }
}

async function closed(socket: WebSocket): Promise<void> {
  if (socket.readyState === socket.CLOSED) return;
  await new Promise((resolve) => socket.once("close", resolve));
}

function textOf(data: RawData): string {
  if (Buffer.isBuffer(data)) return data.toString("utf8");
  return Buffer.concat(Array.isArray(data) ? data : [Buffer.from(data)]).toString("utf8");
}
