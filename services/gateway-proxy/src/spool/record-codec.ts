import { crc32 } from "node:zlib";

/**
 * The form of a spool file: records of `length u32 LE | crc32 u32 LE | type u8 | payload`, where length counts type and
 * payload, and the checksum covers both. A file may end in a torn record after a crash: reading stops at the first one
 * that does not check, and everything before it is whole.
 */

export const recordTypes = { epoch: 0, open: 1, progress: 2, close: 3, leaseClose: 4, lease: 5 } as const;
export type RecordType = keyof typeof recordTypes;

const typeNames = new Map<number, RecordType>(
  Object.entries(recordTypes).map(([name, value]) => [value, name as RecordType]),
);

const headerBytes = 8;
/** Larger records are refused on writing and taken for damage on reading. */
export const recordBytesMax = 65_536;

export interface SpoolEntry {
  readonly type: RecordType;
  /** UTF-8 JSON. */
  readonly payload: string;
}

export function encodeRecord(entry: SpoolEntry): Buffer {
  const payloadBytes = Buffer.byteLength(entry.payload);
  if (payloadBytes + 1 > recordBytesMax) throw new RangeError("spool record exceeds its bound");
  const record = Buffer.allocUnsafe(headerBytes + 1 + payloadBytes);
  record.writeUInt32LE(payloadBytes + 1, 0);
  record.writeUInt8(recordTypes[entry.type], headerBytes);
  record.write(entry.payload, headerBytes + 1, "utf8");
  record.writeUInt32LE(crc32(record.subarray(headerBytes)), 4);
  return record;
}

export interface DecodedSpool {
  readonly entries: readonly SpoolEntry[];
  /** Bytes of whole records; what follows is a torn tail. */
  readonly wholeBytes: number;
}

export function decodeRecords(file: Buffer): DecodedSpool {
  const entries: SpoolEntry[] = [];
  let at = 0;
  while (at + headerBytes < file.length) {
    const length = file.readUInt32LE(at);
    const end = at + headerBytes + length;
    if (length < 1 || length > recordBytesMax || end > file.length) break;
    const body = file.subarray(at + headerBytes, end);
    const type = typeNames.get(body[0] ?? -1);
    if (crc32(body) !== file.readUInt32LE(at + 4) || !type) break;
    entries.push({ type, payload: body.toString("utf8", 1) });
    at = end;
  }
  return { entries, wholeBytes: at };
}
