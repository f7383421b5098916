/** Sound whose frames were counted rather than guessed: `ms` of it in `bytes` bytes of the file, behind `from` others. */
export interface Counted {
  /** Tags and pictures before the sound. */
  readonly from: number;
  readonly bytes: number;
  readonly ms: number;
}

/**
 * Frames that one look at a file may take: six hours of them, a few milliseconds of ours. Of a longer file the rest is taken
 * to be as dense.
 */
export const framesMax = 1_048_576;

/** Tags, and the frame that is cut at the end, stand beside the sound of an honest file: so much of it at most. */
const otherBytes = 8_192;
const otherShare = 0.1;

/**
 * What was counted, unless too little of `looked` bytes could be read: a few dense frames before anything else would buy
 * hours for the price of seconds.
 */
export function believable(counted: Counted, looked: number): Counted | undefined {
  const others = looked - counted.from - counted.bytes;
  if (counted.bytes <= 0 || counted.ms <= 0) return undefined;
  return others <= Math.max(otherBytes, looked * otherShare) ? counted : undefined;
}

/** One frame: its size, and how long it plays. */
export type Frame = Omit<Counted, "from">;

/**
 * Frames that stand one behind the other. What is none is stepped over, to the next byte that begins one. Undefined: there is
 * none at `start`, or too little could be read.
 */
export function countFrames(
  file: Buffer,
  start: number,
  frameAt: (file: Buffer, at: number) => Frame | undefined,
): Counted | undefined {
  if (frameAt(file, start) === undefined) return undefined;
  let at = start;
  let bytes = 0;
  let ms = 0;
  for (let frames = 0; frames < framesMax && at < file.length; frames += 1) {
    const frame = frameAt(file, at);
    if (frame === undefined) {
      const next = file.indexOf(0xff, at + 1);
      at = next < 0 ? file.length : next;
      continue;
    }
    // The last one was cut.
    if (at + frame.bytes > file.length) break;
    bytes += frame.bytes;
    ms += frame.ms;
    at += frame.bytes;
  }
  return believable({ from: start, bytes, ms }, at);
}

/** Bytes of the ID3v2 tag that the file begins with, or 0. The size has seven bits a byte (id3.org, ID3v2.4 §6.2). */
export function id3Bytes(file: Buffer): number {
  if (file.toString("latin1", 0, 3) !== "ID3") return 0;
  return [6, 7, 8, 9].reduce((size, at) => (size << 7) | ((file[at] ?? 0) & 0x7f), 0) + 10;
}
