import { believable, framesMax, type Counted } from "./counted.ts";

/**
 * Opus in Ogg (RFC 3533, RFC 7845). The length is the sum of what each packet says of itself (RFC 6716 §3.1), which a
 * decoder cannot help playing; the positions that the pages claim are not looked at.
 */

const pageMark = 0x4f_67_67_53; // OggS
const pageHeaderBytes = 27;
const samplesPerMs = 48;
/** RFC 6716: no packet is longer. */
const packetMsMax = 120;

/** Undefined: not Opus in Ogg, or too little of it could be read. Looks at every page of `file`, which may be a beginning. */
export function countOpus(file: Buffer): Counted | undefined {
  if (file.length < pageHeaderBytes || file.readUInt32BE(0) !== pageMark) return undefined;
  let serial: number | undefined;
  let at = 0;
  let bytes = 0;
  let ms = 0;
  for (let packets = 0; packets < framesMax && at + pageHeaderBytes <= file.length; packets += 1) {
    if (file.readUInt32BE(at) !== pageMark) {
      const next = file.indexOf("OggS", at + 1, "latin1");
      at = next < 0 ? file.length : next;
      continue;
    }
    const segments = file[at + 26] ?? 0;
    const start = at + pageHeaderBytes + segments;
    const lacing = file.subarray(at + pageHeaderBytes, start);
    const end = lacing.reduce((sum, length) => sum + length, start);
    if (end > file.length) break;
    const owner = file.readUInt32LE(at + 14);
    const name = file.toString("latin1", start, start + 8);
    if (name === "OpusHead" && end >= start + 12) {
      serial = owner;
      // Samples that are played to nobody, before the first.
      ms -= file.readUInt16LE(start + 10) / samplesPerMs;
    } else if (owner === serial && name !== "OpusTags") {
      const isContinued = ((file[at + 5] ?? 0) & 1) === 1;
      ms += pageMs(file, start, lacing, isContinued);
      packets += segments;
    }
    bytes += end - at;
    at = end;
  }
  // What is left behind the last whole page is one that was cut.
  return serial === undefined ? undefined : believable({ from: 0, bytes, ms }, at);
}

/** A packet ends at a segment below 255 bytes, maybe on a later page; it is counted where it begins. */
function pageMs(file: Buffer, start: number, lacing: Uint8Array, isContinued: boolean): number {
  let ms = 0;
  let at = start;
  let isBeginning = !isContinued;
  for (const length of lacing) {
    if (isBeginning && length > 0) ms += packetMs(file[at] ?? 0, length > 1 ? (file[at + 1] ?? 0) : 0);
    at += length;
    isBeginning = length < 255;
  }
  return ms;
}

const silkMs = [10, 20, 40, 60];
const celtMs = [2.5, 5, 10, 20];

/** RFC 6716 §3.1: the first byte says the length of a frame and how many there are; the second counts more than two. */
function packetMs(first: number, second: number): number {
  const config = first >> 3;
  const frameMs = config < 12 ? silkMs[config & 3] : config < 16 ? celtMs[2 + (config & 1)] : celtMs[config & 3];
  const code = first & 3;
  const frames = code === 0 ? 1 : code < 3 ? 2 : second & 0x3f;
  return Math.min(packetMsMax, (frameMs ?? 0) * frames);
}
