import type { PriceBook, SpoolRecord, UsageLine } from "@codex/contracts";
import type { AccountId, MicroTokens, RequestId, TransferId } from "@codex/kernel";
import type { GrantOutcome } from "./lease-ports.ts";

/** What the use cases need from the outside. Amounts are micro-tokens; every call throws AppError or a driver error on failure. */

export interface Balance {
  readonly paid: MicroTokens;
  readonly bonus: MicroTokens;
  /** Reserved by open leases. */
  readonly held: MicroTokens;
  /** Grows with every change of the balance. */
  readonly version: number;
}

export interface ChangedBalance extends Balance {
  readonly accountId: AccountId;
}

export interface Credit {
  /** Unique over everything that credits; "grant:" and the command's own key. */
  readonly key: string;
  /** SHA-256 of everything that must be equal for a repeat. */
  readonly inputHash: Uint8Array;
  readonly transferId: TransferId;
  readonly accountId: AccountId;
  readonly bucket: "paid" | "bonus";
  readonly fundedBy: "payments_clearing" | "promo";
  readonly amount: MicroTokens;
  readonly reason: string;
  /** Of a bonus; null: never. */
  readonly expiresAt: Date | null;
}

export type CreditOutcome = "posted" | "replayed" | "conflict";

export interface LedgerStore {
  /** Undefined when the account never had money. */
  balance(accountId: AccountId): Promise<(Balance & { readonly updatedAt: Date }) | undefined>;
  openEpoch(workerId: string): Promise<number>;
  watermarks(epoch: number): Promise<readonly { readonly partition: number; readonly contiguous: number }[]>;
  /** One transaction: command key, balance, transfer, two entries, `balance.changed`. */
  credit(credit: Credit): Promise<CreditOutcome>;
}

export interface UsagePage {
  /** Newest first. */
  readonly lines: readonly UsageLine[];
  /** The last request of the page when more follow. */
  readonly next: RequestId | null;
}

export interface PostedUsage {
  readonly line: UsageLine;
  readonly priceVersion: PriceBook["version"];
  /** Group of the account when the request was admitted. */
  readonly priceGroup: string;
  readonly hold: MicroTokens;
  /** The first transfer that paid for it, bonus before paid; null when nothing was charged. */
  readonly transferId: TransferId | null;
  readonly postedAt: Date;
}

export interface UsageStore {
  /** `limit` 1…200. */
  page(accountId: AccountId, limit: number, before: RequestId | undefined): Promise<UsagePage>;
  /** Undefined when there is none or it is somebody else's: the account is part of the question. */
  find(accountId: AccountId, requestId: RequestId): Promise<PostedUsage | undefined>;
}

export interface PriceStore {
  /** The version in force now; undefined before the first import. */
  currentVersion(): Promise<PriceBook["version"] | undefined>;
  /** Versions are immutable, so an answer may be kept for ever. */
  byVersion(version: PriceBook["version"]): Promise<PriceBook | undefined>;
}

/** One record of a spool as it came, with the hash of its canonical JSON (first 64 bits of SHA-256). */
export interface SpooledRecord {
  readonly epoch: number;
  /** Of the envelope it came in. */
  readonly partition: number;
  readonly record: SpoolRecord;
  readonly payloadHash: bigint;
  /** The record's JSON. */
  readonly raw: string;
  readonly streamSeq: number;
}

export type AsideReason =
  "unparseable" | "unpriced" | "misrouted" | "rejected" | "conflict" | "unknown_epoch" | "archived_epoch";

/** What is kept aside for a person: it counts into the watermark and moves no money. */
export interface AsideRecord {
  readonly partition: number;
  /** Null together with seq when the message could not be read at all. */
  readonly epoch: number | null;
  readonly seq: number | null;
  readonly payloadHash: bigint;
  readonly reason: AsideReason;
  readonly error: string;
  readonly raw: string;
  readonly streamSeq: number;
}

/** A record that may be booked: what the ledger charges is decided. */
export interface BookableRecord {
  readonly spooled: SpooledRecord;
  /** 0 ≤ cost ≤ hold; 0 for LEASE_CLOSE. */
  readonly cost: MicroTokens;
  readonly hold: MicroTokens;
  readonly chargeMismatch: boolean;
}

/** Records of any number of partitions that one writer owns. */
export interface UsageBatch {
  readonly records: readonly BookableRecord[];
  readonly aside: readonly AsideRecord[];
  readonly firstStreamSeq: number;
  readonly lastStreamSeq: number;
  /** Of a replay: the quarantined record that is dealt with by booking the one record of this batch. */
  readonly resolving?: bigint;
  /** Every partition that a record names, once. */
  readonly positions: readonly BatchPosition[];
}

/** What a commit says of one partition of the stream. */
export interface BatchPosition {
  readonly partition: number;
  /** {@link ReadPosition.term} of its reader; null when the caller keeps no position. */
  readonly term: bigint | null;
  /** How far everything is booked with this commit. Null: the batch is a part, and the messages are not done with it. */
  readonly floor: number | null;
}

/** A stream as its server describes it: numbers mean something only within one incarnation. */
export interface StreamState {
  /** RFC 3339. */
  readonly created: string;
  readonly lastSeq: number;
  /** The newest booked message that stands where it stood; 0 when none is known. */
  readonly standing: number;
}

/** A booked message of one partition, such that it can be told from another one at the same number. */
export interface IngestMark {
  readonly partition: number;
  /** {@link StreamState.created} of its stream. */
  readonly created: string;
  readonly seq: number;
  /** When the stream took it, milliseconds since 1970. */
  readonly storedAtMs: number;
}

export interface ReadPosition {
  /** Grows with every reader; the batches of an earlier one are refused. */
  readonly term: bigint;
  /** Everything up to this number of the stream is booked. */
  readonly floor: number;
}

export interface BatchOutcome {
  readonly inserted: number;
  readonly duplicates: number;
  /** What this transaction put into quarantine: the batch's own, and what the ledger found suspect. */
  readonly aside: readonly AsideRecord[];
  readonly settled: MicroTokens;
  readonly writtenOff: MicroTokens;
  /** Inserted records whose charge is not what their own counts give. */
  readonly chargeMismatches: number;
  /** Closed leases where the worker's own sum differs from ours. */
  readonly workerMismatches: number;
}

/** The database refuses the content of a batch (not the circumstances): a smaller batch will show which record it is. */
export class RejectedBatch extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : "the database refused the batch", { cause });
    this.name = "RejectedBatch";
  }
}

export interface UsageWriter {
  /** One transaction; safe to repeat. Throws RejectedBatch for content, anything else for circumstances. */
  applyBatch(batch: UsageBatch): Promise<BatchOutcome>;
}

/** One connection that holds the partitions it writes: when it dies, the database frees them. */
export interface WriterSession extends UsageWriter {
  /** True when this session owns the partition now. Idempotent. */
  claim(partition: number): Promise<boolean>;
  release(partition: number): Promise<void>;
  /** What is kept of one partition of the stream that was created then, oldest first. */
  marks(partition: number, created: string): Promise<readonly IngestMark[]>;
  /** Keeps marks for later readers, for half an hour; what is not booked is passed over. */
  keepMarks(marks: readonly IngestMark[]): Promise<void>;
  /** Makes this session the reader of a partition that it has claimed, and tells where to go on. */
  beginReading(partition: number, stream: StreamState): Promise<ReadPosition>;
  /** Sessions of all replicas that are alive, this one included. */
  sessions(): Promise<number>;
  /** Frees every partition and gives the connection back. Never throws. */
  close(): Promise<void>;
}

/** Business telemetry; see events.ts. */
export interface LedgerEvents {
  batchApplied(outcome: BatchOutcome): void;
  /** An alarm: somebody has to look at the quarantine. */
  recordSetAside(record: AsideRecord): void;
  leaseDecided(outcome: GrantOutcome["outcome"]): void;
  credited(outcome: CreditOutcome, reason: string): void;
}
