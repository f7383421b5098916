import { usagePartitionOf, type LeaseCloseRecord, type SpoolRecord, type UsageRecord } from "@codex/contracts";
import type { AccountId, LeaseId, MicroTokens } from "@codex/kernel";
import { mkdirSync, unlinkSync } from "node:fs";
import { Journal, type Numbered } from "./journal.ts";
import type { SpoolEntry } from "./record-codec.ts";
import {
  askEntry,
  epochEntry,
  leaseClosePayload,
  leaseEntry,
  openEntry,
  progressEntry,
  refusedEntry,
  sentEntry,
  usagePayload,
  type OpenRequest,
  type Progress,
  type SentEnvelope,
} from "./records.ts";
import type { Disk } from "./spool-file.ts";

/**
 * The record of what this worker's customers owe, until billing has confirmed it. One epoch, in segments; a segment goes
 * when every record in it is confirmed. See docs/architecture.md §Metering.
 */

export interface SpoolOptions {
  readonly directory: string;
  readonly workerId: string;
  readonly epoch: number;
  readonly segmentBytes: number;
  /** Sum of unconfirmed segments above which {@link Spool.full} is true. */
  readonly bytesMax: number;
  /** Kept free for the ends of running requests when the disk is full; 0 keeps nothing. */
  readonly reserveBytes: number;
  /** Milliseconds since the oldest record that billing has not confirmed, and the age at which {@link Spool.full} is true. */
  readonly unconfirmedAgeMs?: () => number;
  readonly unconfirmedAgeMaxMs?: number;
  /**
   * Every usage and lease-close record, in order, once it is on the disk. Not before: after a power cut the next life would
   * give the number of a record that is known to billing and not to the disk to another one.
   */
  readonly onRecord: (record: SpoolRecord) => void;
  readonly onFault: (error: unknown) => void;
  /** In place of the real one, in tests. */
  readonly disk?: Disk;
}

interface LiveLease {
  readonly accountId: AccountId;
  settled: MicroTokens;
}

export type UsageWithoutSeq = Omit<UsageRecord, "seq" | "type">;

export class Spool {
  private readonly options: SpoolOptions;
  private readonly journal: Journal;
  private readonly lastSeqs = new Map<number, number>();
  private readonly openRequests = new Map<string, OpenRequest>();
  private readonly lastProgress = new Map<string, Progress>();
  private readonly leases = new Map<LeaseId, LiveLease>();
  private readonly asks = new Map<number, AccountId>();
  /** Confirmed segments that are being closed and deleted. */
  private readonly removals = new Set<Promise<void>>();
  /** Records that wait for the disk before they may leave. */
  private readonly unpublished: { readonly record: SpoolRecord; synced: boolean }[] = [];

  constructor(options: SpoolOptions) {
    this.options = options;
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    this.journal = new Journal({
      directory: options.directory,
      segmentBytes: options.segmentBytes,
      reserveBytes: options.reserveBytes,
      nameOf: (segment) => segmentName(options.epoch, segment),
      head: (segment) => this.head(segment),
      onFault: options.onFault,
      disk: options.disk,
    });
  }

  /** True when nothing new may be admitted: too much is unconfirmed or for too long, or the disk refuses. */
  get full(): boolean {
    const { bytesMax, unconfirmedAgeMs, unconfirmedAgeMaxMs = Infinity } = this.options;
    return this.journal.faulty || this.bytes >= bytesMax || (unconfirmedAgeMs?.() ?? 0) >= unconfirmedAgeMaxMs;
  }

  get bytes(): number {
    return this.journal.bytes;
  }

  /** Looks whether a disk that refused takes records again; belongs on a timer. Never throws. */
  heal(): void {
    this.journal.heal();
  }

  /** Before billing is asked for a lease; a repeated ask is not written again. Throws AppError `overloaded`. */
  leaseAsked(requestNo: number, accountId: AccountId): void {
    if (this.asks.has(requestNo)) return;
    this.asks.set(requestNo, accountId);
    try {
      this.journal.append(askEntry({ requestNo, accountId }));
    } catch (error) {
      this.asks.delete(requestNo);
      throw error;
    }
  }

  /** The ask was refused. */
  leaseRefused(requestNo: number): void {
    if (this.asks.delete(requestNo)) this.journal.appendAnyway(refusedEntry(requestNo), undefined);
  }

  /** Asks without an answer, in the order of their numbers. */
  get unanswered(): readonly { readonly requestNo: number; readonly accountId: AccountId }[] {
    return [...this.asks].map(([requestNo, accountId]) => ({ requestNo, accountId }));
  }

  /** The bounds of an envelope that goes out for the first time. */
  enveloped(envelope: SentEnvelope): void {
    const { partition, first, last } = envelope;
    this.journal.appendAnyway(sentEntry({ partition, first, last }), undefined);
  }

  /** Answers the ask, where there was one. Throws AppError `overloaded`; the lease is then not usable. */
  leaseGranted(leaseId: LeaseId, accountId: AccountId, requestNo?: number): void {
    // Known before it is written: a rotation by this very record must carry it into the new segment.
    this.leases.set(leaseId, { accountId, settled: 0n });
    if (requestNo !== undefined) this.asks.delete(requestNo);
    try {
      this.journal.append(
        leaseEntry({ leaseId, accountId, settledMicroTokens: 0n, ...(requestNo === undefined ? {} : { requestNo }) }),
      );
    } catch (error) {
      this.leases.delete(leaseId);
      throw error;
    }
  }

  /** Before the upstream is called. Throws AppError `overloaded`; the request must then be refused. */
  requestOpened(open: OpenRequest): void {
    this.openRequests.set(open.requestId, open);
    try {
      this.journal.append(openEntry(open));
    } catch (error) {
      this.openRequests.delete(open.requestId);
      throw error;
    }
  }

  /** While a stream runs. A failure is reported and otherwise ignored: progress is only a better guess for a crash. */
  progress(progress: Progress): void {
    if (!this.openRequests.has(progress.requestId)) return;
    this.lastProgress.set(progress.requestId, progress);
    this.journal.appendAnyway(progressEntry(progress), undefined);
  }

  /** Before the last byte of the answer. Never throws: when the disk refuses, the record goes to the bus and is owed to the disk. */
  requestClosed(usage: UsageWithoutSeq): UsageRecord {
    const record: UsageRecord = { ...usage, type: "usage", seq: this.nextSeq(usage.accountId) };
    this.openRequests.delete(usage.requestId);
    this.lastProgress.delete(usage.requestId);
    const lease = this.leases.get(usage.leaseId);
    if (lease) lease.settled += usage.costMicroTokens;
    this.journal.appendAnyway({ type: "close", payload: usagePayload(record) }, numbered(record));
    this.publishOnceSynced(record);
    return record;
  }

  leaseClosed(leaseId: LeaseId, accountId: AccountId): LeaseCloseRecord {
    const settledMicroTokens = this.leases.get(leaseId)?.settled ?? 0n;
    const record: LeaseCloseRecord = {
      type: "lease_close",
      seq: this.nextSeq(accountId),
      accountId,
      leaseId,
      settledMicroTokens,
    };
    this.leases.delete(leaseId);
    this.journal.appendAnyway({ type: "leaseClose", payload: leaseClosePayload(record) }, numbered(record));
    this.publishOnceSynced(record);
    return record;
  }

  /** Drops segments that billing has confirmed as a whole. `watermarks` is partition → highest contiguous seq. */
  confirmed(watermarks: ReadonlyMap<number, number>): void {
    const { segments } = this.journal;
    for (;;) {
      const [oldest] = segments;
      if (!oldest || segments.length === 1) return;
      const done = [...oldest.lastSeqs].every(([partition, seq]) => (watermarks.get(partition) ?? 0) >= seq);
      if (!done) return;
      segments.shift();
      const removal = oldest.file
        .close()
        .then(() => unlinkSync(oldest.file.path))
        .catch((error: unknown) => this.options.onFault(error))
        .finally(() => this.removals.delete(removal));
      this.removals.add(removal);
    }
  }

  /**
   * Closes the files. They are deleted only when `everythingConfirmed` and nothing is alive: a request or a lease that could
   * not be ended is ended by the next start, from these files. An ask without an answer may be a lease that nobody told us of.
   */
  async close(everythingConfirmed: boolean): Promise<void> {
    await Promise.all(this.removals);
    const isIdle = this.openRequests.size === 0 && this.leases.size === 0 && this.asks.size === 0;
    await this.journal.close(everythingConfirmed && isIdle);
  }

  /** Resolves when every record so far was handed to `onRecord`. */
  async synced(): Promise<void> {
    await this.journal.sync();
  }

  /**
   * Records leave in the order of their numbers, whatever order the syncs of two segments end in: the record whose sync is
   * over may wait for those before it.
   */
  private publishOnceSynced(record: SpoolRecord): void {
    const waiting = { record, synced: false };
    this.unpublished.push(waiting);
    this.journal.afterSync(() => {
      waiting.synced = true;
      for (let [first] = this.unpublished; first?.synced; [first] = this.unpublished) {
        this.unpublished.shift();
        this.options.onRecord(first.record);
      }
    });
  }

  private nextSeq(accountId: AccountId): number {
    const partition = usagePartitionOf(accountId);
    const seq = (this.lastSeqs.get(partition) ?? 0) + 1;
    this.lastSeqs.set(partition, seq);
    return seq;
  }

  /** A new segment begins with everything that is still alive, so that older segments are never needed again. */
  private head(segment: number): SpoolEntry[] {
    const { epoch, workerId } = this.options;
    const lastSeqs = Object.fromEntries([...this.lastSeqs].map(([partition, seq]) => [partition.toString(), seq]));
    return [
      epochEntry({ epoch, workerId, segment, lastSeqs }),
      ...[...this.asks].map(([requestNo, accountId]) => askEntry({ requestNo, accountId })),
      ...[...this.leases].map(([leaseId, { accountId, settled }]) =>
        leaseEntry({ leaseId, accountId, settledMicroTokens: settled }),
      ),
      ...[...this.openRequests.values()].map(openEntry),
      ...[...this.lastProgress.values()].map(progressEntry),
    ];
  }
}

function numbered(record: SpoolRecord): Numbered {
  return { partition: usagePartitionOf(record.accountId), seq: record.seq };
}

/** Zero-padded, so that the names of a directory sort in the order of writing. */
export function segmentName(epoch: number, segment: number): string {
  return `${epoch.toString().padStart(16, "0")}-${segment.toString().padStart(8, "0")}.spool`;
}

export const segmentNamePattern = /^(\d{16})-(\d{8})\.spool$/;
