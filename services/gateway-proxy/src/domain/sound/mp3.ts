import { countFrames, id3Bytes, type Counted, type Frame } from "./counted.ts";

/** MPEG audio, layer III (ISO/IEC 11172-3 and 13818-3): each frame says its bit rate, from which its size follows. */

const kilobits1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const kilobits2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const rates = [44_100, 48_000, 32_000];

/** Undefined: no MP3, or too little of it could be read. Looks at every frame of `file`, which may be a beginning. */
export function countMp3(file: Buffer): Counted | undefined {
  return countFrames(file, id3Bytes(file), mp3Frame);
}

/** Kilobits a second by the first frame alone, where there is no more of the file than that. */
export function firstKilobits(file: Buffer): number | undefined {
  const start = id3Bytes(file);
  const frame = mp3Frame(file, start);
  return frame !== undefined && file.length - start < frame.bytes ? frame.kilobits : undefined;
}

function mp3Frame(file: Buffer, at: number): (Frame & { readonly kilobits: number }) | undefined {
  const [first, second, third] = [file[at] ?? 0, file[at + 1] ?? 0, file[at + 2] ?? 0];
  // Eleven bits of sync, and layer III.
  if (first !== 0xff || (second & 0xe6) !== 0xe2) return undefined;
  const version = (second >> 3) & 3;
  const kilobits = (version === 3 ? kilobits1 : kilobits2)[third >> 4];
  const base = rates[(third >> 2) & 3];
  if (version === 1 || base === undefined || kilobits === undefined || kilobits === 0) return undefined;
  // Version 2 has half the rates and samples of version 1; 2.5 a quarter of the rates.
  const rate = version === 3 ? base : version === 2 ? base / 2 : base / 4;
  const samples = version === 3 ? 1_152 : 576;
  const bytes = Math.floor((samples * kilobits * 125) / rate) + ((third >> 1) & 1);
  return { bytes, ms: (samples * 1_000) / rate, kilobits };
}
