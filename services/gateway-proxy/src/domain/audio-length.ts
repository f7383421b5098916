import { countAdts } from "./sound/adts.ts";
import type { Counted } from "./sound/counted.ts";
import { countFlac } from "./sound/flac.ts";
import { countMp3, firstKilobits } from "./sound/mp3.ts";
import { countOpus } from "./sound/opus.ts";

/**
 * How long a sound file plays, from as much of it as there is and its size: exact for PCM and WAV; by its frames for Opus in
 * Ogg, MP3, AAC in ADTS and FLAC; by a usual bit rate for the other containers, which nobody can measure without decoding them. A provider's own figure is always preferred; this is for the hold, and for answers
 * that come without one.
 *
 * A library that reads the length out of the metadata would take the sender's word for it: here it is worth money.
 */
export interface AudioLength {
  /** The likely length in whole milliseconds. */
  readonly ms: number;
  /** What it can be at most, for the hold: never below `ms`. Whole seconds where it is exact, as providers count them. */
  readonly boundMs: number;
}

/** 24 kHz, 16 bit, one channel: what speech APIs call `pcm` (platform.openai.com/docs/guides/text-to-speech, 2026-11). */
const pcmBytesPerSecond = 48_000;
/** No speech file in use is denser: 48 kHz, 24 bit, two channels. A header that claims more would buy hours for the price of seconds. */
const bytesPerSecondMax = 288_000;
/** Nor is any so thin: Opus that is silent throughout. Headers can claim a day in a few bytes. */
const kilobitsMin = 1;

/** Kilobits a second that voice recordings of the container usually have, and the least that is met. */
const containers: readonly {
  readonly mark: string;
  readonly at: number;
  readonly usual: number;
  readonly least: number;
}[] = [
  { mark: "OggS", at: 0, usual: 32, least: 12 },
  { mark: "\x1aE\xdf\xa3", at: 0, usual: 32, least: 12 }, // WebM
  { mark: "ftyp", at: 4, usual: 64, least: 24 }, // MP4, M4A
  { mark: "fLaC", at: 0, usual: 500, least: 120 },
];

export function pcmLength(bytes: number): AudioLength {
  return exactly((bytes * 1_000) / pcmBytesPerSecond);
}

/** `head`: the file, or its beginning. `bytes`: the size of all of it. */
export function audioLength(head: Buffer, bytes: number): AudioLength {
  return measure(head, bytes <= head.length)?.(bytes) ?? guessedLength(head, bytes);
}

type SizedLength = (bytes: number) => AudioLength;

/** Of a sound that grows: its head is looked at while the head grows too, and after that never again. */
export function soundMeter(): (head: Buffer, bytes: number) => AudioLength | undefined {
  let looked = -1;
  let wasWhole = false;
  let measured: SizedLength | undefined;
  return (head, bytes) => {
    const isWhole = bytes <= head.length;
    if (head.length !== looked || isWhole !== wasWhole) measured = measure(head, isWhole);
    looked = head.length;
    wasWhole = isWhole;
    return measured?.(bytes);
  };
}

/** Undefined where the length would have to be guessed. */
function measure(head: Buffer, isWhole: boolean): SizedLength | undefined {
  const wav = wavBytesPerSecond(head);
  if (wav !== undefined) {
    const bytesPerSecond = Math.min(Math.max(wav, (kilobitsMin * 1_000) / 8), bytesPerSecondMax);
    return (bytes) => exactly((bytes * 1_000) / bytesPerSecond);
  }
  // Variable rates: the first frame is often above the average, seldom twice as much.
  const mp3 = firstKilobits(head);
  if (mp3 !== undefined) {
    return (bytes) => ({ ms: atKilobits(bytes, mp3), boundMs: atKilobits(bytes, Math.max(8, mp3 / 2)) });
  }
  const counted = countOpus(head) ?? countMp3(head) ?? countAdts(head) ?? countFlac(head, isWhole);
  return counted && ((bytes) => countedLength(counted, bytes));
}

/** What was not looked at is taken to be as dense as what was. */
function countedLength(counted: Counted, bytes: number): AudioLength {
  const ms = counted.ms * Math.max(1, (bytes - counted.from) / counted.bytes);
  const least = (bytes * 1_000) / bytesPerSecondMax;
  return exactly(Math.min(Math.max(ms, least), atKilobits(bytes, kilobitsMin)));
}

function guessedLength(head: Buffer, bytes: number): AudioLength {
  const found = containers.find(({ mark, at }) => head.toString("latin1", at, at + mark.length) === mark);
  return { ms: atKilobits(bytes, found?.usual ?? 64), boundMs: atKilobits(bytes, found?.least ?? 12) };
}

function exactly(ms: number): AudioLength {
  return { ms: Math.ceil(ms), boundMs: Math.ceil(ms / 1_000) * 1_000 };
}

function atKilobits(bytes: number, kilobits: number): number {
  return Math.ceil((bytes * 8) / kilobits);
}

function wavBytesPerSecond(head: Buffer): number | undefined {
  if (head.toString("latin1", 0, 4) !== "RIFF" || head.toString("latin1", 8, 12) !== "WAVE") return undefined;
  const format = head.indexOf("fmt ", 12, "latin1");
  if (format < 0 || format + 20 > head.length) return undefined;
  const rate = head.readUInt32LE(format + 16);
  return rate > 0 ? rate : undefined;
}
