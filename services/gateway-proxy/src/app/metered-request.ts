import type { UsageRecord } from "@codex/contracts";
import type { AccountId, Clock, KeyId, LeaseId, MicroTokens, RequestId } from "@codex/kernel";
import {
  chargeFor,
  doubtOf,
  nextLookBytes,
  type Charge,
  type Ending,
  type Outcome,
  type Pictures,
  type Tariff,
  type UsageDoubt,
} from "../domain/charge.ts";
import type { Ticket } from "../domain/lease-book.ts";
import type { TokenCounts } from "@codex/contracts";
import type { Offer } from "./catalogue.ts";

/**
 * One admitted request from its hold to its charge. It ends exactly once, whatever happens (SEC-104): the record is
 * spooled, then the hold is released, in this order, because the release may close the lease and the close must follow
 * the usage in the spool.
 */

export interface SpoolPort {
  requestOpened(open: {
    readonly requestId: RequestId;
    readonly accountId: AccountId;
    readonly keyId: KeyId;
    readonly leaseId: LeaseId;
    readonly model: string;
    readonly route: string;
    readonly channel: string;
    readonly streamed: boolean;
    readonly priceVersion: Offer["priceVersion"];
    readonly priceGroup: string;
    readonly holdMicroTokens: MicroTokens;
    readonly inputBytes: number;
    readonly startedAt: string;
  }): void;
  progress(progress: {
    readonly requestId: RequestId;
    readonly deliveredBytes: number;
    readonly costMicroTokens: MicroTokens;
    readonly outputTokens: number;
  }): void;
  requestClosed(usage: Omit<UsageRecord, "seq" | "type">): UsageRecord;
}

export interface MeteredRequestInit {
  readonly requestId: RequestId;
  readonly accountId: AccountId;
  readonly keyId: KeyId;
  readonly ticket: Ticket;
  readonly offer: Offer;
  readonly priceGroup: string;
  /** When it was admitted: the moment of the hold and of the price. */
  readonly startedAt: Date;
  readonly route: string;
  readonly streamed: boolean;
  readonly inputBytes: number;
}

export interface MeteredRequestPorts {
  readonly spool: SpoolPort;
  readonly settle: (ticket: Ticket, cost: MicroTokens) => void;
  /** The upstream's numbers deserve a look. */
  readonly onDoubt?: (doubt: UsageDoubt) => void;
  readonly clock: Clock;
}

export interface Closing {
  readonly ending: Ending;
  readonly httpStatus: number;
  readonly errorCode: string | null;
}

const progressEveryMs = 1_000;

export class MeteredRequest {
  readonly init: MeteredRequestInit;
  private readonly ports: MeteredRequestPorts;
  private readonly startedAtMs: number;
  private readonly tariff: Tariff;
  private firstByteAtMs: number | undefined;
  private progressAtMs: number;
  /** Delivered bytes at which the cost so far is looked at; Infinity once it reached the hold. */
  private lookAtBytes = 256;
  private settled: { readonly charge: Charge; readonly record: UsageRecord } | undefined;

  /** Channel that answers, or the one that was tried last. */
  channel = "";
  /** The upstream answered with a success status. */
  accepted = false;
  usage: TokenCounts | undefined;
  /** Prompt tokens told ahead of the rest. */
  prompt: TokenCounts | undefined;
  images: Pictures | undefined;
  audioMs = 0;
  /** An answer was passed on of which there is no text, picture or sound to count. */
  answered = false;
  deliveredBytes = 0;
  /** The cost so far has reached the hold: nothing more may be delivered. */
  exhausted = false;

  constructor(init: MeteredRequestInit, ports: MeteredRequestPorts) {
    this.init = init;
    this.ports = ports;
    this.startedAtMs = ports.clock.monotonicMs();
    const { offer, priceGroup, startedAt } = init;
    this.tariff = { price: offer.price, groups: offer.groups, priceGroup, startedAt: startedAt.toISOString() };
    this.progressAtMs = this.startedAtMs;
  }

  /** Journals the request before the upstream is called. When the disk refuses, the hold is released and the error thrown. */
  open(channel: string): void {
    this.channel = channel;
    const { requestId, accountId, keyId, ticket, offer, priceGroup, route, streamed, inputBytes } = this.init;
    try {
      this.ports.spool.requestOpened({
        requestId,
        accountId,
        keyId,
        leaseId: ticket.lease.leaseId,
        model: offer.price.model,
        route,
        channel,
        streamed,
        priceVersion: offer.priceVersion,
        priceGroup,
        holdMicroTokens: ticket.hold,
        inputBytes,
        startedAt: this.tariff.startedAt,
      });
    } catch (error) {
      this.ports.settle(ticket, 0n);
      throw error;
    }
  }

  /** The channel failed before anything of it was passed on: what it said does not count, the next one starts anew. */
  leaveChannel(): void {
    this.accepted = false;
    this.usage = undefined;
    this.prompt = undefined;
    this.images = undefined;
    this.audioMs = 0;
    this.answered = false;
    this.deliveredBytes = 0;
    this.lookAtBytes = 256;
    this.exhausted = false;
  }

  firstByte(): void {
    this.firstByteAtMs ??= this.ports.clock.monotonicMs();
  }

  /** The first byte of the answer has gone to the client: no other channel can answer any more. */
  get answering(): boolean {
    return this.firstByteAtMs !== undefined;
  }

  /** Called with each delivered piece. */
  delivered(answerBytes: number): void {
    this.deliveredBytes += answerBytes;
    if (this.deliveredBytes >= this.lookAtBytes) this.look();
  }

  /** To be called while the answer is delivered, as often as something was; journals at most once a second. */
  progress(): void {
    if (this.settled) return;
    const nowMs = this.ports.clock.monotonicMs();
    if (nowMs - this.progressAtMs < progressEveryMs) return;
    this.progressAtMs = nowMs;
    const charge = this.chargeIf("client_closed");
    this.ports.spool.progress({
      requestId: this.init.requestId,
      deliveredBytes: this.deliveredBytes,
      costMicroTokens: charge.cost,
      outputTokens: charge.tokens.output,
    });
  }

  /** Ends the request; a second call returns what the first one did. */
  close(closing: Closing): { readonly charge: Charge; readonly record: UsageRecord } {
    this.settled ??= this.closeOnce(closing);
    return this.settled;
  }

  get closed(): boolean {
    return this.settled !== undefined;
  }

  /** Model tokens of every class; 0 while it runs, and for what was never sent. */
  get usedTokens(): number {
    return Object.values(this.settled?.charge.tokens ?? {}).reduce((sum, count) => sum + count, 0);
  }

  private look(): void {
    const next = nextLookBytes(this.outcome("client_closed"), this.tariff, this.init.ticket.hold);
    this.lookAtBytes = next ?? Infinity;
    this.exhausted = next === undefined;
  }

  private outcome(ending: Ending): Outcome {
    const { accepted, usage, prompt, audioMs, answered, deliveredBytes } = this;
    const images = this.images ?? null;
    const { inputBytes } = this.init;
    return { accepted, ending, usage, prompt, images, audioMs, answered, inputBytes, deliveredBytes };
  }

  private chargeIf(ending: Ending): Charge {
    return chargeFor(this.outcome(ending), this.tariff, this.init.ticket.hold);
  }

  private closeOnce(closing: Closing): { readonly charge: Charge; readonly record: UsageRecord } {
    const { requestId, accountId, keyId, ticket, offer, priceGroup, route, streamed } = this.init;
    const outcome = this.outcome(closing.ending);
    const charge = chargeFor(outcome, this.tariff, ticket.hold);
    const nowMs = this.ports.clock.monotonicMs();
    const record = this.ports.spool.requestClosed({
      requestId,
      accountId,
      keyId,
      leaseId: ticket.lease.leaseId,
      route,
      model: offer.price.model,
      channel: this.channel,
      status: statusOf(closing, this.accepted),
      httpStatus: closing.httpStatus,
      errorCode: closing.errorCode,
      streamed,
      tokens: charge.tokens,
      images: charge.images,
      audioMs: charge.audioMs,
      estimated: charge.estimated,
      priceVersion: offer.priceVersion,
      priceGroup,
      holdMicroTokens: ticket.hold,
      costMicroTokens: charge.cost,
      startedAt: this.tariff.startedAt,
      firstByteMs: this.firstByteAtMs === undefined ? null : Math.round(this.firstByteAtMs - this.startedAtMs),
      durationMs: Math.round(nowMs - this.startedAtMs),
    });
    this.ports.settle(ticket, charge.cost);
    const doubt = doubtOf(outcome, this.tariff, ticket.hold, charge.cost);
    if (doubt) this.ports.onDoubt?.(doubt);
    return { charge, record };
  }
}

function statusOf(closing: Closing, accepted: boolean): UsageRecord["status"] {
  if (closing.ending === "client_closed") return "client_closed";
  if (closing.ending === "finished") return closing.errorCode === null ? "ok" : "upstream_error";
  return accepted ? "upstream_cut" : "upstream_error";
}
