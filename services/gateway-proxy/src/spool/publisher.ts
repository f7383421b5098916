import { usageEnvelopeRecordsMax, usagePartitionOf, type SpoolRecord } from "@codex/contracts";
import type { SentEnvelope } from "./records.ts";
import {
  isLost,
  isGone,
  lossDelay,
  safetyDelay,
  sameIncarnation,
  unacknowledgedDelay,
  type Acknowledged,
  type ResendReason,
  type StreamState,
  type Watermarks,
} from "./resend-rule.ts";

/**
 * Sends records as envelopes and keeps them until billing's watermark covers them. When something is sent again, and
 * when not: resend-rule.ts. The id of an envelope is the same on every resend, over restarts too, but for one that is proven
 * lost: the stream may hold a copy that billing has passed over, and would throw another one of the same id away. What billing
 * has of a lost envelope is left out of the next one.
 */

export interface Envelope {
  readonly id: string;
  readonly epoch: number;
  readonly partition: number;
  readonly first: number;
  readonly last: number;
  readonly records: readonly SpoolRecord[];
}

export interface PublisherPorts {
  /** Answers the stream's sequence of the message. */
  publish(envelope: Envelope): Promise<{ readonly seq: number }>;
  /** Rejects when billing does not answer. */
  watermarks(epoch: number): Promise<Watermarks>;
  /** Of the stream that envelopes go to; rejects when the bus does not answer. */
  stream(): Promise<StreamState>;
  /** Before an envelope goes out for the first time. */
  onEnvelope(envelope: Envelope): void;
  onConfirmed(watermarks: ReadonlyMap<number, number>): void;
  onFault(error: unknown): void;
  /** An envelope of so many records goes out again. */
  onSentAgain(reason: ResendReason, records: number): void;
  monotonicMs(): number;
}

interface Sent {
  /** Shrinks when it is sent again and billing has its beginning. */
  envelope: Envelope;
  readonly packedAtMs: number;
  /** Tries since the last acknowledgement that had none. */
  failures: number;
  acknowledgements: number;
  /** Times that it was sent again on proof of its loss. */
  losses: number;
  dueAtMs: number;
  /** Why it goes out when it is due. */
  reason: ResendReason;
  lossDueAtMs: number;
  /** Times that it was sent again because the stream no longer had it. */
  gone: number;
  goneDueAtMs: number;
  sending: boolean;
  ack: (Acknowledged & { readonly atMs: number }) | undefined;
}

/** What is in the spool is safe: waiting only makes envelopes of several records, each a message with an acknowledgement. */
const lingerMs = 20;
const tickMs = 50;
const confirmEveryMs = 250;
/** An acknowledged envelope that is not confirmed after this makes the publisher look at the stream itself. */
const lookAfterMs = 1_000;
const inFlightMax = 64;
/** Envelopes that go out again at once when one of them is proven lost: its neighbours often are too. */
const lostTogetherMax = 16;

export class EpochPublisher {
  readonly epoch: number;
  private readonly ports: PublisherPorts;
  private readonly waiting = new Map<number, SpoolRecord[]>();
  private waitingSinceMs = 0;
  private readonly sent = new Map<string, Sent>();
  /** Partition → first seq → last seq of envelopes that an earlier life sent. */
  private readonly bounds = new Map<number, Map<number, number>>();
  private lingering: NodeJS.Timeout | undefined;
  private readonly ticker: NodeJS.Timeout;
  private confirming = false;
  private confirmDueAtMs = 0;
  private looking = false;
  private lookDueAtMs = 0;
  /** Incarnation of the stream when it was last looked at. */
  private streamCreatedMs: number | undefined;
  /** What billing said last. */
  private contiguous: ReadonlyMap<number, number> = new Map();
  /** Records of an earlier life: billing may have most of them, and is asked before any is sent. */
  private repeats = false;
  /** Nothing goes out before it is known, or known to be unknown, which incarnation will acknowledge it. */
  private looked = false;
  private inFlight = 0;
  private stopped = false;

  constructor(epoch: number, ports: PublisherPorts) {
    this.epoch = epoch;
    this.ports = ports;
    this.ticker = setInterval(() => this.tick(), tickMs);
    this.look(ports.monotonicMs());
  }

  /** Takes the next record of its partition; records must come in the order of their seq. */
  add(record: SpoolRecord): void {
    const partition = usagePartitionOf(record.accountId);
    if (this.waiting.size === 0) this.waitingSinceMs = this.ports.monotonicMs();
    const list = this.waiting.get(partition);
    if (list) list.push(record);
    else this.waiting.set(partition, [record]);
    this.lingering ??= setTimeout(() => {
      this.lingering = undefined;
      this.fill();
    }, lingerMs);
  }

  /** Before the first {@link add}: envelopes of an earlier life, which are packed in the same way. */
  repeat(envelopes: readonly SentEnvelope[]): void {
    this.repeats = true;
    for (const { partition, first, last } of envelopes) {
      const of = this.bounds.get(partition) ?? new Map<number, number>();
      of.set(first, last);
      this.bounds.set(partition, of);
    }
  }

  /** Records that billing has not confirmed. */
  get unconfirmed(): number {
    let count = 0;
    for (const list of this.waiting.values()) count += list.length;
    for (const { envelope } of this.sent.values()) count += envelope.records.length;
    return count;
  }

  /** Age of the oldest record that billing has not confirmed; 0 when there is none. */
  get unconfirmedAgeMs(): number {
    const oldest = this.sent.values().next();
    if (oldest.done !== true) return this.ports.monotonicMs() - oldest.value.packedAtMs;
    return this.waiting.size > 0 ? this.ports.monotonicMs() - this.waitingSinceMs : 0;
  }

  /** True once billing has confirmed everything, false when the deadline passes first. */
  async drain(deadlineMs: number): Promise<boolean> {
    const until = this.ports.monotonicMs() + deadlineMs;
    this.fill();
    while (this.unconfirmed > 0 && this.ports.monotonicMs() < until) {
      this.confirmDueAtMs = 0;
      this.tick();
      await new Promise((resolve) => setTimeout(resolve, tickMs));
    }
    return this.unconfirmed === 0;
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.ticker);
    clearTimeout(this.lingering);
  }

  /** Packs what waits into envelopes and sends as many as may be in flight. */
  private fill(): void {
    if (!this.looked) return;
    for (const [partition, list] of this.waiting) {
      while (list.length > 0 && this.inFlight < inFlightMax && !this.stopped) {
        const records = list.splice(0, this.packSize(partition, list));
        const isConfirmed = (this.contiguous.get(partition) ?? 0) >= (records.at(-1)?.seq ?? 0);
        const isRepeated = this.bounds.get(partition)?.has(records[0]?.seq ?? 0) === true;
        if (!isConfirmed) this.send(this.track(partition, records), isRepeated ? "restart" : undefined);
      }
      if (list.length === 0) this.waiting.delete(partition);
    }
  }

  /** How many of the list make the next envelope: as an earlier life packed them, else as many as fit without a gap. */
  private packSize(partition: number, list: readonly SpoolRecord[]): number {
    const bounds = this.bounds.get(partition);
    const first = list[0]?.seq ?? 0;
    const last = bounds?.get(first) ?? first + usageEnvelopeRecordsMax - 1;
    let size = 1;
    while (
      size < list.length &&
      list[size]?.seq === first + size &&
      first + size <= last &&
      bounds?.has(first + size) !== true
    ) {
      size += 1;
    }
    return size;
  }

  private track(partition: number, records: readonly SpoolRecord[]): Sent {
    const envelope = envelopeOf(this.epoch, partition, records);
    const sent: Sent = {
      envelope,
      packedAtMs: this.ports.monotonicMs(),
      failures: 0,
      acknowledgements: 0,
      losses: 0,
      dueAtMs: 0,
      reason: "unacknowledged",
      lossDueAtMs: 0,
      gone: 0,
      goneDueAtMs: 0,
      sending: false,
      ack: undefined,
    };
    this.sent.set(envelope.id, sent);
    this.ports.onEnvelope(envelope);
    return sent;
  }

  /** `again` when it is not for the first time. */
  private send(sent: Sent, again?: ResendReason): void {
    if (again) this.ports.onSentAgain(again, sent.envelope.records.length);
    sent.sending = true;
    this.inFlight += 1;
    const createdMs = this.streamCreatedMs;
    const { envelope, losses } = sent;
    this.ports
      .publish(losses === 0 ? envelope : { ...envelope, id: `${envelope.id}-r${losses}` })
      .then(
        ({ seq }) => {
          const atMs = this.ports.monotonicMs();
          sent.failures = 0;
          sent.acknowledgements += 1;
          sent.ack = { seq, createdMs, atMs };
          sent.dueAtMs = atMs + safetyDelay(sent.acknowledgements);
          sent.reason = "overdue";
        },
        (error: unknown) => {
          sent.failures += 1;
          sent.dueAtMs = this.ports.monotonicMs() + unacknowledgedDelay(sent.failures);
          sent.reason = "unacknowledged";
          this.ports.onFault(error);
        },
      )
      .finally(() => {
        sent.sending = false;
        this.inFlight -= 1;
      });
  }

  private tick(): void {
    if (this.stopped) return;
    const nowMs = this.ports.monotonicMs();
    let mustLook = !this.looked;
    for (const sent of this.sent.values()) {
      if (sent.sending) continue;
      if (sent.dueAtMs <= nowMs && this.inFlight < inFlightMax) this.send(sent, sent.reason);
      else if (sent.ack && nowMs - sent.ack.atMs >= lookAfterMs) mustLook = true;
    }
    this.fill();
    if (mustLook && nowMs >= this.lookDueAtMs) this.look(nowMs);
    // An earlier life's records may all be confirmed before any is sent: that must be told as well.
    if ((this.sent.size > 0 || (this.repeats && this.looked)) && nowMs >= this.confirmDueAtMs) this.confirm(nowMs);
  }

  private confirm(nowMs: number): void {
    if (this.confirming) return;
    this.confirming = true;
    this.confirmDueAtMs = nowMs + confirmEveryMs;
    this.askBilling()
      .then((watermarks) => {
        this.resendLost(watermarks);
        this.ports.onConfirmed(watermarks.contiguous);
      })
      .catch((error: unknown) => this.ports.onFault(error))
      .finally(() => {
        this.confirming = false;
      });
  }

  /** Forgets what billing has. */
  private async askBilling(): Promise<Watermarks> {
    const watermarks = await this.ports.watermarks(this.epoch);
    this.contiguous = watermarks.contiguous;
    for (const [id, { envelope }] of this.sent) {
      if ((watermarks.contiguous.get(envelope.partition) ?? 0) >= envelope.last) this.sent.delete(id);
    }
    return watermarks;
  }

  /** Billing has read past an envelope and has not got it: proof that the stream lost it. */
  private resendLost(watermarks: Watermarks): void {
    if (this.stopped) return;
    const nowMs = this.ports.monotonicMs();
    const proven = new Map<number, number>();
    for (const sent of this.sent.values()) {
      const { partition } = sent.envelope;
      const together = proven.get(partition) ?? 0;
      if (sent.sending || !sent.ack || together >= lostTogetherMax || this.inFlight >= inFlightMax) continue;
      // The first proof is the envelope in the gap itself; those behind it may wait for it and nothing else.
      if (together === 0 && !isLost(sent.envelope, sent.ack, watermarks)) continue;
      const passed = (watermarks.positions.get(partition)?.floor ?? 0) >= sent.ack.seq;
      if (!passed || nowMs < sent.lossDueAtMs) continue;
      proven.set(partition, together + 1);
      this.trim(sent);
      sent.losses += 1;
      sent.lossDueAtMs = nowMs + lossDelay(sent.losses);
      this.send(sent, "lost");
    }
  }

  /** Of what the stream does not have any more: billing may have taken a part, when it committed in the middle of it. */
  private trim(sent: Sent): void {
    const { partition, records } = sent.envelope;
    const contiguous = this.contiguous.get(partition) ?? 0;
    const missing = records.filter(({ seq }) => seq > contiguous);
    if (missing.length > 0 && missing.length < records.length) {
      sent.envelope = envelopeOf(this.epoch, partition, missing);
    }
  }

  private look(nowMs: number): void {
    if (this.looking) return;
    this.looking = true;
    this.lookDueAtMs = nowMs + lookAfterMs;
    this.lookAtStream()
      .catch((error: unknown) => this.ports.onFault(error))
      .finally(() => {
        this.looking = false;
        this.looked = true;
      });
  }

  private async lookAtStream(): Promise<void> {
    const state = await this.ports.stream();
    const isNew = this.streamCreatedMs === undefined || !sameIncarnation(this.streamCreatedMs, state.createdMs);
    if (isNew) this.streamCreatedMs = state.createdMs;
    const anyGone = [...this.sent.values()].some(({ ack }) => ack && isGone(ack, state));
    // Billing may have it all the same, and could not be heard while the bus was away.
    if (anyGone || (this.repeats && !this.looked)) await this.askBilling();
    const nowMs = this.ports.monotonicMs();
    for (const sent of this.sent.values()) {
      if (sent.sending || !sent.ack || !isGone(sent.ack, state) || nowMs < sent.goneDueAtMs) continue;
      this.trim(sent);
      sent.dueAtMs = 0;
      sent.reason = "gone";
      // A replica of the stream may lag behind the one that acknowledged.
      sent.gone += 1;
      sent.goneDueAtMs = nowMs + lossDelay(sent.gone);
    }
  }
}

/** Of records that follow one another without a gap. */
function envelopeOf(epoch: number, partition: number, records: readonly SpoolRecord[]): Envelope {
  const first = records[0]?.seq ?? 0;
  const last = records.at(-1)?.seq ?? 0;
  return { id: `${epoch}-${partition}-${first}-${last}`, epoch, partition, first, last, records };
}
