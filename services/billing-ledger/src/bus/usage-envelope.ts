import { hash } from "node:crypto";
import { decodeEvent, type ReadMessage } from "@codex/bus";
import { spoolRecord, usageEnvelope, usageEnvelopeRecordsMax, usagePartitionOf } from "@codex/contracts";
import { z } from "zod";
import { storable } from "../app/apply-usage.ts";
import { canonicalUsage } from "./canonical-record.ts";
import type { AsideRecord, SpooledRecord } from "../app/ports.ts";
import { quickUsageRecord } from "./quick-record.ts";

/**
 * The contract's envelope with its records left unread, so that one bad record does not take its neighbours with it.
 * Everything about the envelope itself is checked as the contract says.
 */
const envelopeOfAnything = {
  ...usageEnvelope,
  data: usageEnvelope.data.extend({ records: z.array(z.unknown()).min(1).max(usageEnvelopeRecordsMax) }),
};
type Envelope = z.output<(typeof envelopeOfAnything)["data"]>;

export interface ReadRecords {
  readonly records: readonly SpooledRecord[];
  readonly aside: readonly AsideRecord[];
}

/** Reads one message of a partition's subject. Never throws: what cannot be read is set aside with its reason. */
export function fromBusUsage(message: Pick<ReadMessage, "data" | "seq">, partition: number): ReadRecords {
  const decoded = decodeEvent(envelopeOfAnything, message.data);
  if (!decoded.ok || decoded.value.data.partition !== partition) {
    const raw = storable(new TextDecoder().decode(message.data));
    const error = decoded.ok ? `an envelope of partition ${String(decoded.value.data.partition)}` : decoded.problem;
    const reason = decoded.ok ? "misrouted" : "unparseable";
    return {
      records: [],
      aside: [
        { epoch: null, partition, seq: null, payloadHash: hashOf(raw), reason, error, raw, streamSeq: message.seq },
      ],
    };
  }
  const records: SpooledRecord[] = [];
  const aside: AsideRecord[] = [];
  decoded.value.data.records.forEach((wire, index) => {
    const read = readRecord(decoded.value.data, wire, index, message.seq);
    if ("reason" in read) aside.push(read);
    else records.push(read);
  });
  return { records, aside };
}

function readRecord(envelope: Envelope, wire: unknown, index: number, streamSeq: number): SpooledRecord | AsideRecord {
  const raw = storable(JSON.stringify(wire));
  const quick = quickUsageRecord(wire);
  const parsed = quick ? { success: true as const, data: quick } : spoolRecord.safeParse(wire);
  const isUsage = parsed.success && parsed.data.type === "usage";
  const payloadHash = hashOf(isUsage ? canonicalUsage(wire as Record<string, unknown>, raw) : raw);
  const at = { partition: envelope.partition, payloadHash, raw, streamSeq };
  if (!parsed.success) {
    const seq = seqOf(envelope, wire, index);
    const error = parsed.error.issues
      .slice(0, 5)
      .map((issue) => `${issue.path.map(String).join(".")}: ${issue.code}`)
      .join("; ");
    return { ...at, epoch: seq === null ? null : envelope.epoch, seq, reason: "unparseable", error };
  }
  const record = parsed.data;
  if (record.seq < envelope.first || record.seq > envelope.last) {
    return {
      ...at,
      epoch: null,
      seq: null,
      reason: "unparseable",
      error: `seq ${String(record.seq)} is outside its envelope`,
    };
  }
  if (usagePartitionOf(record.accountId) !== envelope.partition) {
    return {
      ...at,
      epoch: envelope.epoch,
      seq: record.seq,
      reason: "misrouted",
      error: "the account belongs to another partition",
    };
  }
  return { epoch: envelope.epoch, partition: envelope.partition, record, payloadHash, raw, streamSeq };
}

/** The number of a record that cannot be read: its own, or its place when the envelope has no holes. Null when neither tells. */
function seqOf(envelope: Envelope, wire: unknown, index: number): number | null {
  const own: unknown = typeof wire === "object" && wire !== null && "seq" in wire ? wire.seq : undefined;
  if (typeof own === "number" && Number.isSafeInteger(own) && own >= envelope.first && own <= envelope.last) return own;
  return envelope.records.length === envelope.last - envelope.first + 1 ? envelope.first + index : null;
}

/** 64 bits are plenty to tell corruption from repetition; nobody gains by forging them. */
function hashOf(text: string): bigint {
  return hash("sha256", text, "buffer").readBigInt64BE(0);
}
