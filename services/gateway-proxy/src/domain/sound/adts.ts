import { countFrames, id3Bytes, type Counted, type Frame } from "./counted.ts";

/** AAC in ADTS frames (ISO/IEC 13818-7 §6.2): each says its size and how many blocks of 1,024 samples it has. */

const rates = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
const headerBytes = 7;
const blockSamples = 1_024;

/** Undefined: no ADTS, or too little of it could be read. Looks at every frame of `file`, which may be a beginning. */
export function countAdts(file: Buffer): Counted | undefined {
  return countFrames(file, id3Bytes(file), adtsFrame);
}

function adtsFrame(file: Buffer, at: number): Frame | undefined {
  const byte = (index: number): number => file[at + index] ?? 0;
  // Twelve bits of sync, and layer 0, which no MP3 has.
  if (byte(0) !== 0xff || (byte(1) & 0xf6) !== 0xf0) return undefined;
  const rate = rates[(byte(2) >> 2) & 0x0f];
  const bytes = ((byte(3) & 3) << 11) | (byte(4) << 3) | (byte(5) >> 5);
  if (rate === undefined || bytes <= headerBytes) return undefined;
  return { bytes, ms: (((byte(6) & 3) + 1) * blockSamples * 1_000) / rate };
}
