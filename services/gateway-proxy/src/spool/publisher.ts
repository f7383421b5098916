import { usageEnvelopeRecordsMax, usagePartitionOf, type SpoolRecord } from "@codex/contracts";

/**
 * Sends records as envelopes and keeps them until billing's watermark covers them. The bus may lose, double or reorder
 * anything (docs/architecture.md §Metering); what is not confirmed is sent again under the same id:
 *   without an acknowledgement after 1, 2, 4 … 15 s;
 *   with one, only after a minute without confirmation, doubling: a slow ledger must not be flooded with duplicates.
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
  publish(envelope: Envelope): Promise<void>;
  /** Partition → highest contiguous seq that billing has committed. Rejects when billing does not answer. */
  watermarks(epoch: number): Promise<ReadonlyMap<number, number>>;
  onConfirmed(watermarks: ReadonlyMap<number, number>): void;
  onFault(error: unknown): void;
  monotonicMs(): number;
}

interface Sent {
  readonly envelope: Envelope;
  /** Tries since the last acknowledgement that had none. */
  failures: number;
  acknowledgements: number;
  dueAtMs: number;
  sending: boolean;
}

const lingerMs = 5;
const tickMs = 50;
const confirmEveryMs = 250;
const unacknowledgedDelaysMs = [1_000, 2_000, 4_000, 8_000, 15_000];
const unconfirmedDelayMs = 60_000;
const unconfirmedDelayMaxMs = 900_000;
const inFlightMax = 64;

export class EpochPublisher {
  readonly epoch: number;
  private readonly ports: PublisherPorts;
  private readonly waiting = new Map<number, SpoolRecord[]>();
  private readonly sent = new Map<string, Sent>();
  private lingering: NodeJS.Timeout | undefined;
  private readonly ticker: NodeJS.Timeout;
  private confirming = false;
  private confirmDueAtMs = 0;
  private inFlight = 0;
  private stopped = false;

  constructor(epoch: number, ports: PublisherPorts) {
    this.epoch = epoch;
    this.ports = ports;
    this.ticker = setInterval(() => this.tick(), tickMs);
  }

  /** Takes the next record of its partition; records must come in the order of their seq. */
  add(record: SpoolRecord): void {
    const partition = usagePartitionOf(record.accountId);
    const list = this.waiting.get(partition);
    if (list) list.push(record);
    else this.waiting.set(partition, [record]);
    this.lingering ??= setTimeout(() => {
      this.lingering = undefined;
      this.fill();
    }, lingerMs);
  }

  /** Records that billing has not confirmed. */
  get unconfirmed(): number {
    let count = 0;
    for (const list of this.waiting.values()) count += list.length;
    for (const { envelope } of this.sent.values()) count += envelope.records.length;
    return count;
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
    for (const [partition, list] of this.waiting) {
      while (list.length > 0 && this.inFlight < inFlightMax && !this.stopped) {
        this.send(this.track(partition, list.splice(0, usageEnvelopeRecordsMax)));
      }
      if (list.length === 0) this.waiting.delete(partition);
    }
  }

  private track(partition: number, records: readonly SpoolRecord[]): Sent {
    const first = records[0]?.seq ?? 0;
    const last = records.at(-1)?.seq ?? 0;
    const id = `${this.epoch}-${partition}-${first}-${last}`;
    const envelope: Envelope = { id, epoch: this.epoch, partition, first, last, records };
    const sent: Sent = { envelope, failures: 0, acknowledgements: 0, dueAtMs: 0, sending: false };
    this.sent.set(id, sent);
    return sent;
  }

  private send(sent: Sent): void {
    sent.sending = true;
    this.inFlight += 1;
    this.ports
      .publish(sent.envelope)
      .then(
        () => {
          sent.failures = 0;
          sent.acknowledgements += 1;
          sent.dueAtMs = this.ports.monotonicMs() + unconfirmedDelay(sent.acknowledgements);
        },
        (error: unknown) => {
          sent.failures += 1;
          sent.dueAtMs = this.ports.monotonicMs() + unacknowledgedDelay(sent.failures);
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
    for (const sent of this.sent.values()) {
      if (!sent.sending && sent.dueAtMs <= nowMs && this.inFlight < inFlightMax) this.send(sent);
    }
    this.fill();
    if (this.sent.size > 0 && nowMs >= this.confirmDueAtMs) this.confirm(nowMs);
  }

  private confirm(nowMs: number): void {
    if (this.confirming) return;
    this.confirming = true;
    this.confirmDueAtMs = nowMs + confirmEveryMs;
    this.ports
      .watermarks(this.epoch)
      .then((watermarks) => {
        for (const [id, { envelope }] of this.sent) {
          if ((watermarks.get(envelope.partition) ?? 0) >= envelope.last) this.sent.delete(id);
        }
        this.ports.onConfirmed(watermarks);
      })
      .catch((error: unknown) => this.ports.onFault(error))
      .finally(() => {
        this.confirming = false;
      });
  }
}

function unacknowledgedDelay(failures: number): number {
  return unacknowledgedDelaysMs[Math.min(failures, unacknowledgedDelaysMs.length) - 1] ?? 15_000;
}

function unconfirmedDelay(acknowledgements: number): number {
  return Math.min(unconfirmedDelayMs * 2 ** (acknowledgements - 1), unconfirmedDelayMaxMs);
}
