/**
 * How long a sound file plays, from its first bytes and its size: exact for PCM and WAV, by the bit rate of the first frame
 * for MP3, by a usual bit rate for the compressed containers, which nobody can measure without decoding them. A provider's
 * own figure is always preferred; this is for the hold, and for answers that come without one.
 */
export interface AudioLength {
  /** The likely length in milliseconds. */
  readonly ms: number;
  /** What it can be at most, for the hold. */
  readonly boundMs: number;
}

/** 24 kHz, 16 bit, one channel: what speech APIs call `pcm` (platform.openai.com/docs/guides/text-to-speech, 2026-11). */
const pcmBytesPerSecond = 48_000;
/** No speech file in use is denser: 48 kHz, 24 bit, two channels. A header that claims more would buy hours for the price of seconds. */
const bytesPerSecondMax = 288_000;

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
  const ms = Math.ceil((bytes * 1_000) / pcmBytesPerSecond);
  return { ms, boundMs: ms };
}

export function audioLength(head: Buffer, bytes: number): AudioLength {
  const wav = wavBytesPerSecond(head);
  if (wav !== undefined) {
    const ms = Math.ceil((bytes * 1_000) / Math.min(wav, bytesPerSecondMax));
    return { ms, boundMs: ms };
  }
  const mp3 = mp3Kilobits(head);
  // Variable rates: the first frame is often above the average, seldom twice as much.
  if (mp3 !== undefined) return { ms: atKilobits(bytes, mp3), boundMs: atKilobits(bytes, Math.max(8, mp3 / 2)) };
  const found = containers.find(({ mark, at }) => head.toString("latin1", at, at + mark.length) === mark);
  return { ms: atKilobits(bytes, found?.usual ?? 64), boundMs: atKilobits(bytes, found?.least ?? 12) };
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

/** Layer III bit rates by index (ISO/IEC 11172-3 table, and 13818-3 for the lower sampling rates). */
const mpeg1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const mpeg2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

function mp3Kilobits(head: Buffer): number | undefined {
  const start = head.toString("latin1", 0, 3) === "ID3" ? id3Bytes(head) : 0;
  const second = head[start + 1] ?? 0;
  // Eleven bits of sync, and layer III.
  if (head[start] !== 0xff || (second & 0xe6) !== 0xe2) return undefined;
  const rates = (second & 0x18) === 0x18 ? mpeg1 : mpeg2;
  const rate = rates[(head[start + 2] ?? 0) >> 4];
  return rate !== undefined && rate > 0 ? rate : undefined;
}

/** The size of a tag has seven bits a byte (id3.org, ID3v2.4 §6.2). */
function id3Bytes(head: Buffer): number {
  return [6, 7, 8, 9].reduce((size, at) => (size << 7) | ((head[at] ?? 0) & 0x7f), 0) + 10;
}
