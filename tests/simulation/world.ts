import { usagePartitionOf, type SpoolRecord } from "@codex/contracts";
import type { AccountId } from "@codex/kernel";
import { BillingModel, type Defect } from "./billing-model.ts";
import type { Faults } from "./faults.ts";
import type { Random } from "./random.ts";
import type { VirtualTime } from "./virtual-time.ts";

/**
 * The stream and the billing service that reads it. The stream keeps order and nothing else: what it has acknowledged may be
 * gone, come twice, late, or in another order.
 */

interface Message {
  readonly seq: number;
  readonly id: string;
  readonly epoch: number;
  readonly partition: number;
  readonly records: readonly SpoolRecord[];
  /** Billing has committed it and its acknowledgement arrived. */
  done: boolean;
}

const pollMs = 40;
const batchMax = 8;

export class World {
  readonly billing: BillingModel;
  readonly recallListeners = new Set<(accountId: AccountId) => void>();
  private readonly time: VirtualTime;
  private readonly random: Random;
  private readonly faults: Faults;
  private messages: Message[] = [];
  private readonly stored = new Map<string, number>();
  private readonly floors = new Map<number, number>();
  private createdMs = 1;
  private lastSeq = 0;

  constructor(time: VirtualTime, random: Random, faults: Faults, defect: Defect) {
    this.time = time;
    this.random = random;
    this.faults = faults;
    this.billing = new BillingModel(random, defect);
    time.after(pollMs, () => this.consume(), pollMs);
  }

  get stream(): { readonly created: Date; readonly lastSeq: number } {
    return { created: new Date(this.createdMs), lastSeq: this.lastSeq };
  }

  /** Answers the sequence; a known id is not stored again while the server remembers it. */
  store(id: string, epoch: number, records: readonly SpoolRecord[]): number {
    const known = this.stored.get(id);
    if (known !== undefined && this.random.chance(0.9)) return known;
    const [first] = records;
    if (!first) throw new Error("an empty envelope");
    const seq = (this.lastSeq += 1);
    this.messages.push({ seq, id, epoch, partition: usagePartitionOf(first.accountId), records, done: false });
    this.stored.set(id, seq);
    return seq;
  }

  /** The power of the bus went: the last messages, acknowledged or not, are gone, and their numbers will be given again. */
  rollBack(messages: number): void {
    this.lastSeq = Math.max(0, this.lastSeq - messages);
    this.messages = this.messages.filter(({ seq }) => seq <= this.lastSeq);
    for (const [id, seq] of this.stored) if (seq > this.lastSeq) this.stored.delete(id);
    for (const [partition, floor] of this.floors) this.floors.set(partition, Math.min(floor, this.lastSeq));
  }

  /** Somebody deleted the stream; it was made anew. */
  remake(): void {
    this.rollBack(this.lastSeq);
    this.createdMs = this.time.nowMs + 2;
    this.floors.clear();
  }

  positions(): { readonly partition: number; readonly streamCreated: string; readonly floor: number }[] {
    const streamCreated = new Date(this.createdMs).toISOString();
    return [...this.floors].map(([partition, floor]) => ({ partition, streamCreated, floor }));
  }

  /** Some of what is there, in any order, perhaps with something that was there before: one transaction each. */
  private consume(): void {
    if (this.faults.billingDown || this.faults.busDown) return;
    const waiting = this.messages.filter((message) => !message.done);
    const batch = this.random.shuffled(waiting).slice(0, this.random.int(1, batchMax));
    if (this.messages.length > 0 && this.random.chance(this.faults.duplicates))
      batch.push(this.random.pick(this.messages));
    for (const message of batch) {
      this.billing.apply(message.epoch, message.partition, message.records, this.time.nowMs);
      // Committed, and the bus did not hear of it: it will come again.
      message.done = message.done || !this.random.chance(this.faults.duplicates);
    }
    this.messages = this.messages.filter((message) => !message.done || message.seq > this.lastSeq - 200);
    for (const partition of new Set(batch.map((message) => message.partition))) this.raiseFloor(partition);
  }

  private raiseFloor(partition: number): void {
    const open = this.messages.filter((message) => message.partition === partition && !message.done);
    const floor = open.reduce((lowest, { seq }) => Math.min(lowest, seq - 1), this.lastSeq);
    this.floors.set(partition, Math.max(this.floors.get(partition) ?? 0, floor));
  }
}
