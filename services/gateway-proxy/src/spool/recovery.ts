import { leaseCloseRecord, usagePartitionOf, usageRecord, type SpoolRecord, type UsageRecord } from "@codex/contracts";
import { maxBigint, type LeaseId, type MicroTokens } from "@codex/kernel";
import { noTokens } from "../domain/usage.ts";
import type { SpoolEntry } from "./record-codec.ts";
import {
  askPayload,
  epochPayload,
  leasePayload,
  openPayload,
  progressPayload,
  refusedPayload,
  sentPayload,
  type LeaseAsk,
  type OpenRequest,
  type Progress,
  type SentEnvelope,
} from "./records.ts";

/**
 * What a dead worker left behind, made whole. A request that was open is settled by its last progress record, which is a
 * lower bound in the customer's favour and 0 when nothing was delivered; every lease of the epoch that was not closed is
 * closed after its requests. The result is the complete sequence of records of the epoch, to be sent again from the
 * beginning: billing drops what it has. The same files always give the same records, for a recovery may itself be killed and
 * repeated, and billing takes a record that has changed for damage.
 */

export interface RecoveredEpoch {
  readonly epoch: number;
  readonly records: readonly SpoolRecord[];
  /** How many of them were made up here, for the log. */
  readonly abandoned: number;
  /** Asks without an answer, by their number: whether billing granted them, only billing knows. */
  readonly asks: readonly LeaseAsk[];
  /** Envelopes that were sent; the same bounds give the same ids. */
  readonly envelopes: readonly SentEnvelope[];
  /**
   * The closes of leases that came to light, to be sent after everything else. Always with the same leases, in the order of
   * their asks: billing keeps the answers, so a repeated recovery says the same.
   */
  closesOf(leases: readonly { readonly leaseId: LeaseId; readonly accountId: LeaseAsk["accountId"] }[]): SpoolRecord[];
}

export function recoverEpoch(entries: readonly SpoolEntry[], endedAt: Date): RecoveredEpoch | undefined {
  const state = readState(entries);
  if (state.epoch === undefined) return undefined;
  const records: SpoolRecord[] = [...state.records];
  const nextSeq = (accountId: string): number => {
    const partition = usagePartitionOf(accountId);
    const seq = (state.lastSeqs.get(partition) ?? 0) + 1;
    state.lastSeqs.set(partition, seq);
    return seq;
  };
  for (const open of state.open.values()) {
    const record = abandonedRecord(open, state.progress.get(open.requestId), nextSeq(open.accountId), endedAt);
    records.push(record);
    addSettled(state, record);
  }
  for (const [leaseId, accountId] of state.leases) {
    const settledMicroTokens = state.settled.get(leaseId) ?? 0n;
    records.push({ type: "lease_close", seq: nextSeq(accountId), accountId, leaseId, settledMicroTokens });
  }
  return {
    epoch: state.epoch,
    records,
    abandoned: state.open.size,
    asks: [...state.asks].map(([requestNo, accountId]) => ({ requestNo, accountId })).sort(byRequestNo),
    envelopes: state.envelopes,
    closesOf: (leases) =>
      leases.map(({ leaseId, accountId }) => ({
        type: "lease_close",
        seq: nextSeq(accountId),
        accountId,
        leaseId,
        settledMicroTokens: 0n,
      })),
  };
}

function byRequestNo(a: LeaseAsk, b: LeaseAsk): number {
  return a.requestNo - b.requestNo;
}

interface State {
  epoch: number | undefined;
  readonly records: SpoolRecord[];
  readonly lastSeqs: Map<number, number>;
  readonly open: Map<string, OpenRequest>;
  readonly progress: Map<string, Progress>;
  /** Leases granted and not yet closed. */
  readonly leases: Map<LeaseId, OpenRequest["accountId"]>;
  readonly settled: Map<LeaseId, MicroTokens>;
  /** By partition, up to which record the sums of the leases that the latest segment repeats are complete. */
  readonly summed: Map<number, number>;
  readonly asks: Map<number, LeaseAsk["accountId"]>;
  readonly envelopes: SentEnvelope[];
  /** Numbers of the records that were read, "partition/seq": a segment may repeat what the disk may have lost. */
  readonly seen: Set<string>;
}

function readState(entries: readonly SpoolEntry[]): State {
  const state: State = {
    epoch: undefined,
    records: [],
    lastSeqs: new Map(),
    open: new Map(),
    progress: new Map(),
    leases: new Map(),
    settled: new Map(),
    summed: new Map(),
    asks: new Map(),
    envelopes: [],
    seen: new Set(),
  };
  for (const entry of entries) readEntry(state, entry);
  return state;
}

function readEntry(state: State, entry: SpoolEntry): void {
  const content: unknown = JSON.parse(entry.payload);
  switch (entry.type) {
    case "epoch": {
      const header = epochPayload.parse(content);
      state.epoch ??= header.epoch;
      for (const [text, seq] of Object.entries(header.lastSeqs)) {
        const partition = Number.parseInt(text, 10);
        raise(state, partition, seq);
        state.summed.set(partition, seq);
      }
      return;
    }
    case "lease": {
      const lease = leasePayload.parse(content);
      if (lease.requestNo !== undefined) state.asks.delete(lease.requestNo);
      state.leases.set(lease.leaseId, lease.accountId);
      // A new segment repeats the lease with its sum so far; what the disk may have lost repeats it with an older one.
      const settled = state.settled.get(lease.leaseId) ?? 0n;
      state.settled.set(lease.leaseId, maxBigint(settled, lease.settledMicroTokens));
      return;
    }
    case "open": {
      const open = openPayload.parse(content);
      state.open.set(open.requestId, open);
      return;
    }
    case "progress": {
      const progress = progressPayload.parse(content);
      state.progress.set(progress.requestId, progress);
      return;
    }
    case "close": {
      const usage = usageRecord.parse(content);
      state.open.delete(usage.requestId);
      state.progress.delete(usage.requestId);
      const summed = state.summed.get(usagePartitionOf(usage.accountId)) ?? 0;
      if (keep(state, usage) && usage.seq > summed) addSettled(state, usage);
      return;
    }
    case "leaseClose": {
      const close = leaseCloseRecord.parse(content);
      state.leases.delete(close.leaseId);
      keep(state, close);
      return;
    }
    case "ask": {
      const ask = askPayload.parse(content);
      state.asks.set(ask.requestNo, ask.accountId);
      return;
    }
    case "refused":
      state.asks.delete(refusedPayload.parse(content).requestNo);
      return;
    case "sent":
      state.envelopes.push(sentPayload.parse(content));
      return;
  }
}

/** False when it was read before. */
function keep(state: State, record: SpoolRecord): boolean {
  const partition = usagePartitionOf(record.accountId);
  const name = `${partition}/${record.seq}`;
  if (state.seen.has(name)) return false;
  state.seen.add(name);
  state.records.push(record);
  raise(state, partition, record.seq);
  return true;
}

function raise(state: State, partition: number, seq: number): void {
  state.lastSeqs.set(partition, Math.max(state.lastSeqs.get(partition) ?? 0, seq));
}

function addSettled(state: State, record: UsageRecord): void {
  state.settled.set(record.leaseId, (state.settled.get(record.leaseId) ?? 0n) + record.costMicroTokens);
}

function abandonedRecord(open: OpenRequest, progress: Progress | undefined, seq: number, endedAt: Date): UsageRecord {
  return {
    type: "usage",
    seq,
    requestId: open.requestId,
    accountId: open.accountId,
    keyId: open.keyId,
    leaseId: open.leaseId,
    route: open.route,
    model: open.model,
    channel: open.channel,
    status: "abandoned",
    httpStatus: 200,
    errorCode: "gateway_restarted",
    streamed: open.streamed,
    tokens: progress ? { ...noTokens, input: Math.ceil(open.inputBytes / 4), output: progress.outputTokens } : noTokens,
    images: null,
    audioMs: 0,
    estimated: true,
    priceVersion: open.priceVersion,
    priceGroup: open.priceGroup,
    holdMicroTokens: open.holdMicroTokens,
    costMicroTokens: progress?.costMicroTokens ?? 0n,
    startedAt: open.startedAt,
    firstByteMs: null,
    durationMs: Math.max(0, endedAt.getTime() - Date.parse(open.startedAt)),
  };
}
