import type { ModelPrice } from "@codex/contracts";
import { newId, type Clock, type MicroTokens, type RequestId } from "@codex/kernel";
import type { UsageDoubt } from "../domain/charge.ts";
import { holdFor, type HoldInput } from "../domain/hold.ts";
import type { Ticket } from "../domain/lease-book.ts";
import type { ConversationBound, InputTokens } from "../domain/realtime/conversation-bound.ts";
import type { Offer } from "./catalogue.ts";
import type { ResolvedKey } from "./key-cache.ts";
import type { Lender } from "./lender.ts";
import { limitExceeded } from "./limit-errors.ts";
import { MeteredRequest, type SpoolPort } from "./metered-request.ts";
import type { RequestLimiter, Taken } from "./request-limiter.ts";

/** What admits and meters the responses of one session; see docs/adr/0017-realtime.md. */
export interface FundsPorts {
  readonly lender: Pick<Lender, "admit" | "settle" | "priceGroupOf">;
  readonly limiter: Pick<RequestLimiter, "limitedOf" | "take">;
  /** A function: the spool is opened after the handlers exist. */
  readonly spool: () => SpoolPort;
  readonly onDoubt: (doubt: UsageDoubt) => void;
  readonly clock: Clock;
}

/** A model whose sound has a price. */
export type RealtimeOffer = Offer & { readonly sound: ModelPrice };

/** The longest answer that a session's hold covers, and that goes upstream as its bound. */
export function answerTokensMax({ price, sound }: RealtimeOffer): number {
  return Math.min(price.outputTokensMax, sound.outputTokensMax);
}

/** Money and limits for one response that may begin at any moment. It is used by `begin`, or given back by `release`. */
export class ResponseFunds {
  private readonly ports: FundsPorts;
  private readonly offer: RealtimeOffer;
  private readonly key: ResolvedKey;
  private readonly startedAt: Date;
  private readonly covered: InputTokens;
  private readonly text: Ticket;
  private readonly sound: Ticket;
  private readonly taken: Taken;
  private spent = false;

  private constructor(
    ports: FundsPorts,
    offer: RealtimeOffer,
    key: ResolvedKey,
    startedAt: Date,
    covered: InputTokens,
    tickets: { readonly text: Ticket; readonly sound: Ticket },
    taken: Taken,
  ) {
    this.ports = ports;
    this.offer = offer;
    this.key = key;
    this.startedAt = startedAt;
    this.covered = covered;
    this.text = tickets.text;
    this.sound = tickets.sound;
    this.taken = taken;
  }

  /**
   * For the next response of a conversation. Throws AppError of the limits (429), of the lender (402, 403, 503).
   * `before`: funds that were too small. If nobody has used them meanwhile they are given back, and the limits are not asked again.
   */
  static async admit(
    ports: FundsPorts,
    offer: RealtimeOffer,
    key: ResolvedKey,
    conversation: ConversationBound,
    before?: ResponseFunds,
  ): Promise<ResponseFunds> {
    const covered = conversation.boundWithRoom();
    const startedAt = ports.clock.now();
    const first = before ? undefined : await takeLimits(ports, offer, key, conversation);
    let tickets: Awaited<ReturnType<typeof hold>> | undefined;
    try {
      tickets = await hold(ports, offer, key, covered, startedAt);
      const taken = first ?? before?.replaced() ?? (await takeLimits(ports, offer, key, conversation));
      return new ResponseFunds(ports, offer, key, startedAt, covered, tickets, taken);
    } catch (error) {
      for (const ticket of tickets ? [tickets.text, tickets.sound] : []) ports.lender.settle(ticket, 0n);
      first?.end(0);
      throw error;
    }
  }

  covers({ text, audio }: InputTokens): boolean {
    return text <= this.covered.text && audio <= this.covered.audio;
  }

  /** No response came. Without effect once they are used. */
  release(): void {
    this.replaced()?.end(0);
  }

  /** Gives the holds back; what was taken of the limits is for whoever comes in their place. Undefined: they are used. */
  private replaced(): Taken | undefined {
    if (this.spent) return undefined;
    this.spent = true;
    this.ports.lender.settle(this.text, 0n);
    this.ports.lender.settle(this.sound, 0n);
    return this.taken;
  }

  /** Writes the response to the spool. When the disk refuses, everything is given back and the error thrown. */
  begin(channel: string, input: InputTokens): FundedParts {
    this.spent = true;
    const text = this.meter(this.text, this.offer.price, input.text);
    try {
      text.open(channel);
    } catch (error) {
      this.ports.lender.settle(this.sound, 0n);
      this.taken.end(0);
      throw error;
    }
    return {
      text,
      sound: (journal) => {
        const sound = this.meter(this.sound, this.offer.sound, input.audio);
        sound.channel = channel;
        if (journal) sound.open(channel);
        return sound;
      },
      withoutSound: () => this.ports.lender.settle(this.sound, 0n),
      end: (usedTokens) => this.taken.end(usedTokens),
    };
  }

  private meter(ticket: Ticket, price: ModelPrice, inputTokens: number): MeteredRequest {
    const { accountId, keyId } = this.key;
    const { spool, lender, onDoubt, clock } = this.ports;
    return new MeteredRequest(
      {
        requestId: newId("req"),
        accountId,
        keyId,
        ticket,
        offer: { ...this.offer, price },
        priceGroup: ticket.lease.priceGroup,
        startedAt: this.startedAt,
        route: realtimeRoute,
        streamed: true,
        // Recovery, and whoever estimates, takes a quarter of the bytes for tokens.
        inputBytes: inputTokens * 4,
      },
      { spool: spool(), settle: (of, cost) => lender.settle(of, cost), onDoubt, clock },
    );
  }
}

export const realtimeRoute = "/v1/realtime";

/** The two records of a response; that of sound is made when there is sound. One of `sound` and `withoutSound` is called, once. */
export interface FundedParts {
  readonly text: MeteredRequest;
  /** `journal`: written to the spool now, because it has yet to end. Throws when the disk refuses; its hold is given back then. */
  sound(journal: boolean): MeteredRequest;
  withoutSound(): void;
  /** For the limits. */
  end(usedTokens: number): void;
}

export interface ChargedResponse {
  readonly cost: MicroTokens;
  readonly estimated: boolean;
  readonly requestIds: readonly RequestId[];
}

async function takeLimits(
  { limiter }: FundsPorts,
  offer: RealtimeOffer,
  key: ResolvedKey,
  conversation: ConversationBound,
): Promise<Taken> {
  const { text, audio } = conversation.estimate();
  const demand = { requestId: newId("req"), tokens: text + audio + answerTokensMax(offer), slot: false };
  const taken = await limiter.take(limiter.limitedOf(key), demand);
  if (taken.answer.refusal) throw limitExceeded(taken.of, taken.answer.refusal);
  return taken;
}

/** Both holds or none. */
async function hold(
  { lender }: FundsPorts,
  offer: RealtimeOffer,
  key: ResolvedKey,
  { text, audio }: InputTokens,
  startedAt: Date,
): Promise<{ readonly text: Ticket; readonly sound: Ticket }> {
  const { groups, price, sound } = offer;
  const priceGroup = groups.length === 0 ? undefined : lender.priceGroupOf(key.accountId);
  const outputTokensAsked = answerTokensMax(offer);
  const amountOf = (of: ModelPrice, tokens: number) => {
    const input: HoldInput = { bodyBytes: tokens, imageUrls: 0, outputTokensAsked, answers: 1 };
    return holdFor({ price: of, groups, priceGroup, startedAt: startedAt.toISOString() }, input);
  };
  // The upstream takes its bound of the answer from the session, so the answer is not shortened here.
  const economies = { tighten: () => Promise.resolve(undefined), shorten: () => undefined };
  const wanted = { text: amountOf(price, text), sound: amountOf(sound, audio) };
  // The larger one first: the smaller one may fit into what the lease of the larger one leaves, not the other way round.
  const soundFirst = wanted.sound.amount >= wanted.text.amount;
  const first = await lender.admit(key, soundFirst ? wanted.sound : wanted.text, economies);
  try {
    const second = await lender.admit(key, soundFirst ? wanted.text : wanted.sound, economies);
    return soundFirst ? { text: second.ticket, sound: first.ticket } : { text: first.ticket, sound: second.ticket };
  } catch (error) {
    lender.settle(first.ticket, 0n);
    throw error;
  }
}
