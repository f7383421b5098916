import { id3Bytes, type Counted } from "./counted.ts";

/**
 * FLAC (RFC 9639). Its frames say no size but their number, so the last one says the length; what the head of the file claims
 * is not looked at, since a stream says 0 there and a decoder plays the frames.
 */

/** The last frame begins within so much of the end: 32 bits, eight channels and 4,608 samples make 147,456 bytes. */
const tailBytes = 262_144;

interface FlacFrame {
  readonly at: number;
  readonly variable: boolean;
  readonly rateCode: number;
  readonly sizeCode: number;
  readonly rate: number;
  readonly blockSamples: number;
  /** Of the frame where blocks have one size, else of its first sample. */
  readonly number: number;
}

/**
 * `isWhole`: whether `file` is all of it; of a beginning, the frame that may be cut is not counted. Undefined: no FLAC, or no
 * frame was found.
 */
export function countFlac(file: Buffer, isWhole: boolean): Counted | undefined {
  const start = id3Bytes(file);
  if (file.toString("latin1", start, start + 4) !== "fLaC") return undefined;
  const firstAt = firstFrame(file, start);
  if (firstAt === undefined) return undefined;
  // Twenty bits of the stream's description, behind the sizes of blocks and frames.
  const described = (file.readUIntBE(start + 18, 3) >> 4) & 0xf_ffff;
  const first = frameAt(file, firstAt, described);
  if (first === undefined) return undefined;
  const last = lastFrame(file, first, described);
  const before = last.variable ? last.number : last.number * first.blockSamples;
  const samples = before + (isWhole ? last.blockSamples : 0);
  const bytes = (isWhole ? file.length : last.at) - firstAt;
  return samples > 0 ? { from: firstAt, bytes, ms: (samples * 1_000) / first.rate } : undefined;
}

/** Behind the blocks of metadata, each with its size. */
function firstFrame(file: Buffer, start: number): number | undefined {
  let at = start + 4;
  while (at + 4 <= file.length) {
    const isLast = ((file[at] ?? 0) & 0x80) !== 0;
    at += 4 + file.readUIntBE(at + 1, 3);
    if (isLast) return at > start + 21 && at + 5 <= file.length ? at : undefined;
  }
  return undefined;
}

function lastFrame(file: Buffer, first: FlacFrame, described: number): FlacFrame {
  const least = Math.max(first.at + 1, file.length - tailBytes);
  for (let at = file.lastIndexOf(0xff); at >= least; at = file.lastIndexOf(0xff, at - 1)) {
    const frame = frameAt(file, at, described);
    const isOfTheStream =
      frame?.variable === first.variable && frame.rateCode === first.rateCode && frame.sizeCode === first.sizeCode;
    if (isOfTheStream) return frame;
  }
  return first;
}

const codedRates = [0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

/** RFC 9639 §9.1: the header is believed when its check sum is right. */
function frameAt(file: Buffer, at: number, described: number): FlacFrame | undefined {
  const byte = (index: number): number => file[index] ?? 0;
  if (byte(at) !== 0xff || (byte(at + 1) & 0xfe) !== 0xf8) return undefined;
  const blockCode = byte(at + 2) >> 4;
  const rateCode = byte(at + 2) & 0x0f;
  if (blockCode === 0 || rateCode === 15 || byte(at + 3) >> 4 > 10 || (byte(at + 3) & 1) !== 0) return undefined;
  const coded = codedNumber(file, at + 4);
  if (coded === undefined) return undefined;
  let next = coded.end;
  const blockExtra = blockCode === 6 ? 1 : blockCode === 7 ? 2 : 0;
  const rateExtra = rateCode === 12 ? 1 : rateCode > 12 ? 2 : 0;
  const end = next + blockExtra + rateExtra;
  if (end >= file.length || crc8(file, at, end) !== byte(end)) return undefined;
  const blockSamples = blockExtra === 0 ? codedBlock(blockCode) : file.readUIntBE(next, blockExtra) + 1;
  next += blockExtra;
  const rate =
    rateCode === 0
      ? described
      : rateExtra === 0
        ? (codedRates[rateCode] ?? 0)
        : file.readUIntBE(next, rateExtra) * (rateCode === 12 ? 1_000 : rateCode === 14 ? 10 : 1);
  if (rate === 0) return undefined;
  const sizeCode = (byte(at + 3) >> 1) & 7;
  return { at, variable: (byte(at + 1) & 1) === 1, rateCode, sizeCode, rate, blockSamples, number: coded.value };
}

function codedBlock(code: number): number {
  if (code === 1) return 192;
  return code < 6 ? 576 << (code - 2) : 256 << (code - 8);
}

/** As UTF-8 would write it, up to 36 bits. */
function codedNumber(file: Buffer, at: number): { readonly value: number; readonly end: number } | undefined {
  const first = file[at] ?? 0xff;
  if (first < 0x80) return { value: first, end: at + 1 };
  const length = Math.clz32(~(first << 24));
  if (length < 2 || length > 7) return undefined;
  let value = length === 7 ? 0 : first & (0x7f >> length);
  for (let index = 1; index < length; index += 1) {
    const more = file[at + index] ?? 0;
    if ((more & 0xc0) !== 0x80) return undefined;
    value = value * 64 + (more & 0x3f);
  }
  return { value, end: at + length };
}

/** Polynomial x⁸ + x² + x + 1, from zero. */
function crc8(file: Buffer, from: number, to: number): number {
  let crc = 0;
  for (let at = from; at < to; at += 1) {
    crc ^= file[at] ?? 0;
    for (let bit = 0; bit < 8; bit += 1) crc = ((crc << 1) ^ ((crc & 0x80) === 0 ? 0 : 0x07)) & 0xff;
  }
  return crc;
}
