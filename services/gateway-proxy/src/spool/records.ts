import {
  defaultPriceGroup,
  idOf,
  microTokens,
  priceGroupName,
  requestNo,
  type LeaseCloseRecord,
  type SpoolRecord,
  type UsageRecord,
} from "@codex/contracts";
import { z } from "zod";
import type { SpoolEntry } from "./record-codec.ts";

/** What the spool says of an epoch, a running request and its progress. `close` and `leaseClose` hold the wire records. */

/** First record of each segment. `lastSeqs` continues the numbering when older segments are already gone. */
export const epochPayload = z.strictObject({
  epoch: z.number().int().min(1),
  workerId: z.string(),
  segment: z.number().int().min(0),
  lastSeqs: z.record(z.string().regex(/^\d{1,2}$/), z.number().int().min(1)),
});
export type EpochHeader = z.output<typeof epochPayload>;

export const openPayload = z.strictObject({
  requestId: idOf("req"),
  accountId: idOf("acc"),
  keyId: idOf("key"),
  leaseId: idOf("lse"),
  model: z.string(),
  route: z.string(),
  channel: z.string(),
  streamed: z.boolean(),
  priceVersion: idOf("prc"),
  /** Absent in what an older version wrote. */
  priceGroup: priceGroupName.default(defaultPriceGroup),
  holdMicroTokens: microTokens,
  inputBytes: z.number().int().min(0),
  startedAt: z.iso.datetime(),
});
export type OpenRequest = z.output<typeof openPayload>;

export const progressPayload = z.strictObject({
  requestId: idOf("req"),
  deliveredBytes: z.number().int().min(0),
  /** Charge so far by the published rule, had the request ended now. */
  costMicroTokens: microTokens,
  outputTokens: z.number().int().min(0),
});
export type Progress = z.output<typeof progressPayload>;

/** A lease that was granted to this epoch, with what was charged to it so far: written at the grant, so that a crash can close it. */
export const leasePayload = z.strictObject({
  leaseId: idOf("lse"),
  accountId: idOf("acc"),
  settledMicroTokens: microTokens,
  /** Of the ask that this lease answers; absent where a new segment repeats what is alive. */
  requestNo: requestNo.optional(),
});
export type LeaseGranted = z.output<typeof leasePayload>;

/** A lease is being asked for: written before the ask, so that a crash in mid-grant leaves no money held. */
export const askPayload = z.strictObject({ requestNo, accountId: idOf("acc") });
export type LeaseAsk = z.output<typeof askPayload>;

/** Billing refused the ask. */
export const refusedPayload = z.strictObject({ requestNo });

/** The bounds of an envelope that was sent, so that the next life sends the same ones, under the same ids. */
export const sentPayload = z.strictObject({
  partition: z.number().int().min(0),
  first: z.number().int().min(1),
  last: z.number().int().min(1),
});
export type SentEnvelope = z.output<typeof sentPayload>;

export function askEntry(ask: LeaseAsk): SpoolEntry {
  return { type: "ask", payload: JSON.stringify(ask) };
}

export function refusedEntry(refusedNo: number): SpoolEntry {
  return { type: "refused", payload: JSON.stringify({ requestNo: refusedNo }) };
}

export function sentEntry({ partition, first, last }: SentEnvelope): SpoolEntry {
  return { type: "sent", payload: JSON.stringify({ partition, first, last }) };
}

export function epochEntry(header: EpochHeader): SpoolEntry {
  return { type: "epoch", payload: JSON.stringify(header) };
}

export function leaseEntry(lease: LeaseGranted): SpoolEntry {
  return { type: "lease", payload: JSON.stringify(z.encode(leasePayload, lease)) };
}

/** Written by hand, as {@link usagePayload}: one a request. */
export function openEntry(open: OpenRequest): SpoolEntry {
  return {
    type: "open",
    payload: JSON.stringify({ ...open, holdMicroTokens: open.holdMicroTokens.toString() }),
  };
}

export function progressEntry(progress: Progress): SpoolEntry {
  return { type: "progress", payload: JSON.stringify(z.encode(progressPayload, progress)) };
}

/** Each record is written twice, to the disk and to the bus, and is the same object both times. */
const usagePayloads = new WeakMap<UsageRecord, string>();

/** Hand-written encoding of the hot record: the same JSON as `z.encode(usageRecord, …)`, held equal by a test. */
export function usagePayload(record: UsageRecord): string {
  const known = usagePayloads.get(record);
  if (known !== undefined) return known;
  const payload = JSON.stringify({
    ...record,
    holdMicroTokens: record.holdMicroTokens.toString(),
    costMicroTokens: record.costMicroTokens.toString(),
  });
  usagePayloads.set(record, payload);
  return payload;
}

export function leaseClosePayload(record: LeaseCloseRecord): string {
  return JSON.stringify({ ...record, settledMicroTokens: record.settledMicroTokens.toString() });
}

/** `z.encode(usageEnvelope.data, …)` as JSON, held equal by a test: the records have passed every check when they were made. */
export function envelopePayload(
  envelope: SentEnvelope & { readonly epoch: number; readonly records: readonly SpoolRecord[] },
): string {
  const { epoch, partition, first, last, records } = envelope;
  const wire = records.map((record) => (record.type === "usage" ? usagePayload(record) : leaseClosePayload(record)));
  return `${JSON.stringify({ epoch, partition, first, last }).slice(0, -1)},"records":[${wire.join(",")}]}`;
}
