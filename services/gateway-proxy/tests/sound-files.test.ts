import { propertyRuns } from "@codex/testkit";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { readFileSync } from "node:fs";
import path from "node:path";
import { audioLength, soundMeter } from "../src/domain/audio-length.ts";

// Files as a real encoder writes them (sounds/README.md); the same cut, stretched, broken and lied about; and anything at all.

const file = (name: string): Buffer => readFileSync(path.join(import.meta.dirname, "sounds", name));
/** What ffmpeg decodes of each; an encoder's first and last frames may hold silence that it counts and a decoder cuts off. */
const files: readonly (readonly [name: string, ms: number, slack: number])[] = [
  ["speech.opus", 2_500, 20],
  ["speech.flac", 1_500, 0],
  ["speech.aac", 2_560, 1],
  ["speech.mp3", 2_500, 100],
];
const names = files.map(([name]) => name);

const id3 = Buffer.concat([Buffer.from("ID3\x04\0\0\0\0\x01\0", "latin1"), Buffer.alloc(128)]);

function off(ms: number, truth: number): number {
  return Math.abs(ms - truth);
}

test.each(files)("%s plays %i ms, and is bounded by the next whole second", (name, truth, slack) => {
  const bytes = file(name);
  const { ms, boundMs } = audioLength(bytes, bytes.length);
  expect(off(ms, truth)).toBeLessThanOrEqual(slack);
  expect(boundMs).toBe(Math.ceil(ms / 1_000) * 1_000);
});

test.each(files.filter(([name]) => name !== "speech.opus"))("%s is the same behind a tag", (name, truth, slack) => {
  const bytes = Buffer.concat([id3, file(name)]);
  expect(off(audioLength(bytes, bytes.length).ms, truth)).toBeLessThanOrEqual(slack);
});

test.each(files)("of the beginning of %s, the rest is taken to be as dense", (name, truth) => {
  const bytes = file(name);
  const head = bytes.subarray(0, Math.floor(bytes.length * 0.7));
  const { ms } = audioLength(head, bytes.length);
  expect(off(ms, truth)).toBeLessThan(truth * 0.15);
});

test.each(files)("while %s comes in, its length grows, to what it is in the end", (name, truth, slack) => {
  const bytes = file(name);
  const meter = soundMeter();
  const grown = Array.from({ length: 20 }, (_value, index) => {
    const upTo = Math.ceil((bytes.length * (index + 1)) / 20);
    return meter(bytes.subarray(0, Math.min(upTo, 1_500 * (index + 1))), upTo)?.ms ?? 0;
  });
  expect(grown.at(-1)).toBeGreaterThan(grown[5] ?? 0);
  expect(off(meter(bytes, bytes.length)?.ms ?? 0, truth)).toBeLessThanOrEqual(slack);
});

describe("what a file claims is not worth money", () => {
  test("a FLAC whose head claims a thousandth of its samples plays as long as it does", () => {
    const bytes = file("speech.flac");
    // Thirty-six bits behind rate, channels and sample size (RFC 9639 §8.2).
    bytes.writeUInt32BE(12, 22);
    expect(audioLength(bytes, bytes.length).ms).toBe(1_500);
    // A rate of 655,350 Hz in the head; the frames say 8,000.
    bytes.writeUInt16BE(0xffff, 18);
    expect(audioLength(bytes, bytes.length).ms).toBe(1_500);
  });

  test("an Opus file whose pages claim no time plays as long as its packets", () => {
    const bytes = file("speech.opus");
    for (let at = bytes.indexOf("OggS"); at >= 0; at = bytes.indexOf("OggS", at + 1)) bytes.fill(0, at + 6, at + 14);
    expect(off(audioLength(bytes, bytes.length).ms, 2_500)).toBeLessThanOrEqual(20);
  });

  test.each([
    ["speech.opus", 32],
    ["speech.aac", 64],
    ["speech.mp3", 64],
  ])("%s before bytes of another kind is not believed for them: they are guessed at %i kbit/s", (name, kilobits) => {
    const bytes = Buffer.concat([file(name), Buffer.alloc(1_000_000)]);
    const { ms, boundMs } = audioLength(bytes, bytes.length);
    expect(ms).toBe(Math.ceil((bytes.length * 8) / kilobits));
    expect(boundMs).toBeGreaterThan(ms);
  });

  test("no frame is so dense that a file costs less than the densest sound", () => {
    // One ADTS frame of 8,191 bytes is 10 ms at 96 kHz.
    const frame = Buffer.alloc(8_191);
    frame.set([0xff, 0xf1, 0x40, 0x43, 0xff, 0xff, 0xfc]);
    const bytes = Buffer.concat(Array.from({ length: 100 }, () => frame));
    expect(audioLength(bytes, bytes.length).ms).toBe(Math.ceil((bytes.length * 1_000) / 288_000));
  });

  test("nor so thin that a few bytes hold a day", () => {
    const page = Buffer.alloc(27 + 255 + 510);
    page.write("OggS", "latin1");
    page[26] = 255;
    page.fill(2, 27, 282);
    // 120 ms in two bytes, 255 times a page.
    for (let at = 282; at < page.length; at += 2) page.set([0x0f, 6], at);
    const head = file("speech.opus").subarray(0, file("speech.opus").indexOf("OggS", 4));
    const bytes = Buffer.concat([head, ...Array.from({ length: 500 }, () => page)]);
    for (let at = bytes.indexOf("OggS"); at >= 0; at = bytes.indexOf("OggS", at + 1)) head.copy(bytes, at + 14, 14, 18);
    expect(audioLength(bytes, bytes.length).ms).toBe(bytes.length * 8);
  });
});

/** Marks of every kind, so that garbage gets past the first look. */
const mark = fc.constantFrom(
  ...[
    "OggS",
    "OpusHead",
    "OpusTags",
    "fLaC",
    "ID3\x04\0\0\0\0\0\x10",
    "RIFF\0\0\0\0WAVEfmt ",
    "\xff\xf1",
    "\xff\xf8",
    "\0",
  ],
);
const garbage = fc
  .array(
    fc.oneof(
      mark.map((text) => Buffer.from(text, "latin1")),
      fc.uint8Array({ maxLength: 64 }),
    ),
    { maxLength: 40 },
  )
  .map((pieces) => Buffer.concat(pieces));
const broken = fc
  .record({
    name: fc.constantFrom(...names),
    changes: fc.array(fc.tuple(fc.nat(14_000), fc.nat(255)), { maxLength: 30 }),
    from: fc.nat(40),
    upTo: fc.nat(14_000),
    before: fc.uint8Array({ maxLength: 20 }),
  })
  .map(({ name, changes, from, upTo, before }) => {
    const bytes = file(name);
    for (const [at, value] of changes) bytes[at % bytes.length] = value;
    return Buffer.concat([before, bytes.subarray(from > 30 ? from : 0, upTo)]);
  });

test("of anything, the length is a whole number of milliseconds within the bounds of its size, whole or only the beginning", () => {
  fc.assert(
    fc.property(fc.oneof(garbage, broken), fc.nat(1_000_000), (bytes, more) => {
      const size = bytes.length + more;
      const { ms, boundMs } = audioLength(bytes, size);
      expect(Number.isSafeInteger(ms) && Number.isSafeInteger(boundMs)).toBe(true);
      expect(ms).toBeGreaterThanOrEqual(Math.floor((size * 1_000) / 288_000));
      // A kilobit a second.
      expect(ms).toBeLessThanOrEqual(size * 8);
      expect(boundMs).toBeGreaterThanOrEqual(ms);
      expect(boundMs).toBeLessThan(size * 8 + 1_000);
      expect(soundMeter()(bytes, size)?.ms ?? ms).toBe(ms);
    }),
    { numRuns: propertyRuns(2_000) },
  );
});

// Work that grew with the square of the frames would not come to its end within the time of a test.
test("25 MB of the smallest possible frames are looked at to the end, and are no endless sound", () => {
  const page = Buffer.alloc(27 + 255 + 255, 1);
  page.write("OggS", "latin1");
  page[26] = 255;
  const opus = Buffer.concat([file("speech.opus"), ...Array.from({ length: 46_000 }, () => page)]);
  const frame = Buffer.from([0xff, 0xf1, 0x50, 0x80, 0x01, 0x1f, 0xfc, 0]);
  const aac = Buffer.concat(Array.from({ length: 3_000_000 }, () => frame));
  const flac = Buffer.concat([file("speech.flac"), Buffer.alloc(25_000_000, 0xff)]);
  const mp3 = Buffer.concat([file("speech.mp3"), Buffer.alloc(25_000_000, "\xff\xe3", "latin1")]);
  for (const bytes of [opus, aac, flac, mp3]) {
    const { ms, boundMs } = audioLength(bytes, bytes.length);
    expect([ms, boundMs].every(Number.isSafeInteger) && boundMs >= ms).toBe(true);
  }
});
