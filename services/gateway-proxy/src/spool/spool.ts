import { usagePartitionOf, type LeaseCloseRecord, type SpoolRecord, type UsageRecord } from "@codex/contracts";
import type { AccountId, LeaseId, MicroTokens } from "@codex/kernel";
import { mkdirSync, unlinkSync } from "node:fs";
import type { SpoolEntry } from "./record-codec.ts";
import {
  epochEntry,
  leaseClosePayload,
  leaseEntry,
  openEntry,
  progressEntry,
  usagePayload,
  type OpenRequest,
  type Progress,
} from "./records.ts";
import { SpoolFile } from "./spool-file.ts";

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
  /** Every usage and lease-close record, in order, after it is in the file. */
  readonly onRecord: (record: SpoolRecord) => void;
  readonly onFault: (error: unknown) => void;
}

interface Segment {
  readonly file: SpoolFile;
  /** Highest seq written here, by partition. */
  readonly lastSeqs: Map<number, number>;
}

interface LiveLease {
  readonly accountId: AccountId;
  settled: MicroTokens;
}

export type UsageWithoutSeq = Omit<UsageRecord, "seq" | "type">;

export class Spool {
  private readonly options: SpoolOptions;
  private readonly segments: Segment[] = [];
  private segmentNumber = 0;
  private readonly lastSeqs = new Map<number, number>();
  private readonly openRequests = new Map<string, OpenRequest>();
  private readonly lastProgress = new Map<string, Progress>();
  private readonly leases = new Map<LeaseId, LiveLease>();
  /** Confirmed segments that are being closed and deleted. */
  private readonly removals = new Set<Promise<void>>();
  private broken = false;

  constructor(options: SpoolOptions) {
    this.options = options;
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    this.rotate();
  }

  /** True when nothing new may be admitted: too much is unconfirmed, or the disk refused a record. */
  get full(): boolean {
    return this.broken || this.bytes >= this.options.bytesMax;
  }

  get bytes(): number {
    return this.segments.reduce((sum, segment) => sum + segment.file.bytes, 0);
  }

  /** Throws the file system's error; the lease is then not usable. */
  leaseGranted(leaseId: LeaseId, accountId: AccountId): void {
    // Known before it is written: a rotation by this very record must carry it into the new segment.
    this.leases.set(leaseId, { accountId, settled: 0n });
    try {
      this.append(leaseEntry({ leaseId, accountId, settledMicroTokens: 0n }));
    } catch (error) {
      this.leases.delete(leaseId);
      throw error;
    }
  }

  /** Before the upstream is called. Throws the file system's error; the request must then be refused. */
  requestOpened(open: OpenRequest): void {
    this.openRequests.set(open.requestId, open);
    try {
      this.append(openEntry(open));
    } catch (error) {
      this.openRequests.delete(open.requestId);
      throw error;
    }
  }

  /** While a stream runs. A failure is reported and otherwise ignored: progress is only a better guess for a crash. */
  progress(progress: Progress): void {
    if (!this.openRequests.has(progress.requestId)) return;
    this.lastProgress.set(progress.requestId, progress);
    this.appendOrReport(progressEntry(progress));
  }

  /** Before the last byte of the answer. Never throws: when the disk refuses, the record still goes to the bus. */
  requestClosed(usage: UsageWithoutSeq): UsageRecord {
    const record: UsageRecord = { ...usage, type: "usage", seq: this.nextSeq(usage.accountId) };
    this.openRequests.delete(usage.requestId);
    this.lastProgress.delete(usage.requestId);
    const lease = this.leases.get(usage.leaseId);
    if (lease) lease.settled += usage.costMicroTokens;
    this.appendOrReport({ type: "close", payload: usagePayload(record) });
    this.options.onRecord(record);
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
    this.appendOrReport({ type: "leaseClose", payload: leaseClosePayload(record) });
    this.options.onRecord(record);
    return record;
  }

  /** Drops segments that billing has confirmed as a whole. `watermarks` is partition → highest contiguous seq. */
  confirmed(watermarks: ReadonlyMap<number, number>): void {
    for (;;) {
      const [oldest] = this.segments;
      if (!oldest || this.segments.length === 1) return;
      const done = [...oldest.lastSeqs].every(([partition, seq]) => (watermarks.get(partition) ?? 0) >= seq);
      if (!done) return;
      this.segments.shift();
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
   * not be ended is ended by the next start, from these files.
   */
  async close(everythingConfirmed: boolean): Promise<void> {
    await Promise.all(this.removals);
    const needless = everythingConfirmed && this.openRequests.size === 0 && this.leases.size === 0;
    for (const segment of this.segments.splice(0)) {
      await segment.file.close();
      if (needless) unlinkSync(segment.file.path);
    }
  }

  private nextSeq(accountId: AccountId): number {
    const partition = usagePartitionOf(accountId);
    const seq = (this.lastSeqs.get(partition) ?? 0) + 1;
    this.lastSeqs.set(partition, seq);
    this.segments.at(-1)?.lastSeqs.set(partition, seq);
    return seq;
  }

  private append(entry: SpoolEntry): void {
    const current = this.segments.at(-1);
    if (!current) throw new Error("spool is closed");
    try {
      current.file.append(entry);
    } catch (error) {
      this.broken = true;
      throw error;
    }
    if (current.file.bytes >= this.options.segmentBytes) this.rotate();
  }

  private appendOrReport(entry: SpoolEntry): void {
    try {
      this.append(entry);
    } catch (error) {
      this.options.onFault(error);
    }
  }

  /** A new segment begins with everything that is still alive, so that older segments are never needed again. */
  private rotate(): void {
    const { directory, epoch, workerId } = this.options;
    const segment = this.segmentNumber;
    this.segmentNumber += 1;
    const file = new SpoolFile(`${directory}/${segmentName(epoch, segment)}`, this.options.onFault);
    this.segments.push({ file, lastSeqs: new Map() });
    const lastSeqs = Object.fromEntries([...this.lastSeqs].map(([partition, seq]) => [partition.toString(), seq]));
    file.append(epochEntry({ epoch, workerId, segment, lastSeqs }));
    for (const [leaseId, lease] of this.leases) {
      file.append(leaseEntry({ leaseId, accountId: lease.accountId, settledMicroTokens: lease.settled }));
    }
    for (const open of this.openRequests.values()) file.append(openEntry(open));
    for (const progress of this.lastProgress.values()) file.append(progressEntry(progress));
  }
}

/** Zero-padded, so that the names of a directory sort in the order of writing. */
export function segmentName(epoch: number, segment: number): string {
  return `${epoch.toString().padStart(16, "0")}-${segment.toString().padStart(8, "0")}.spool`;
}

export const segmentNamePattern = /^(\d{16})-(\d{8})\.spool$/;
