import { leaseCloseRecord, usagePartitionOf, usageRecord, type SpoolRecord, type UsageRecord } from "@codex/contracts";
import type { LeaseId, MicroTokens } from "@codex/kernel";
import { noTokens } from "../domain/usage.ts";
import type { SpoolEntry } from "./record-codec.ts";
import {
  epochPayload,
  leasePayload,
  openPayload,
  progressPayload,
  type OpenRequest,
  type Progress,
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
  return { epoch: state.epoch, records, abandoned: state.open.size };
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
      for (const [partition, seq] of Object.entries(header.lastSeqs)) raise(state, Number.parseInt(partition, 10), seq);
      return;
    }
    case "lease": {
      const lease = leasePayload.parse(content);
      state.leases.set(lease.leaseId, lease.accountId);
      state.settled.set(lease.leaseId, lease.settledMicroTokens);
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
      keep(state, usage);
      addSettled(state, usage);
      return;
    }
    case "leaseClose": {
      const close = leaseCloseRecord.parse(content);
      state.leases.delete(close.leaseId);
      keep(state, close);
      return;
    }
  }
}

function keep(state: State, record: SpoolRecord): void {
  state.records.push(record);
  raise(state, usagePartitionOf(record.accountId), record.seq);
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
