import { crc32 } from "node:zlib";

/**
 * The form of a spool file: records of `length u32 LE | crc32 u32 LE | type u8 | payload`, where length counts type and
 * payload, and the checksum covers both. A file may end in a torn record after a crash: that is the tail, and is left out.
 * A record that does not check with whole ones after it is damage: it is told, and reading goes on behind it.
 */

export const recordTypes = {
  epoch: 0,
  open: 1,
  progress: 2,
  close: 3,
  leaseClose: 4,
  lease: 5,
  ask: 6,
  refused: 7,
  sent: 8,
} as const;
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
  /** Bytes up to the end of the last whole record; what follows is a torn tail. */
  readonly wholeBytes: number;
  /** Bytes before the last whole record that are none: something other than a crash did this. */
  readonly damagedBytes: number;
}

export function decodeRecords(file: Buffer): DecodedSpool {
  const entries: SpoolEntry[] = [];
  let wholeBytes = 0;
  let damagedBytes = 0;
  for (let at = 0; at + headerBytes < file.length;) {
    const record = recordAt(file, at);
    if (!record) {
      at += 1;
      continue;
    }
    entries.push(record.entry);
    damagedBytes += at - wholeBytes;
    at = record.end;
    wholeBytes = at;
  }
  return { entries, wholeBytes, damagedBytes };
}

function recordAt(file: Buffer, at: number): { readonly entry: SpoolEntry; readonly end: number } | undefined {
  const length = file.readUInt32LE(at);
  const end = at + headerBytes + length;
  if (length < 1 || length > recordBytesMax || end > file.length) return undefined;
  const body = file.subarray(at + headerBytes, end);
  const type = typeNames.get(body[0] ?? -1);
  if (!type || crc32(body) !== file.readUInt32LE(at + 4)) return undefined;
  return { entry: { type, payload: body.toString("utf8", 1) }, end };
}
