import { expect, test } from "@jest/globals";
import { audioLength, pcmLength } from "./audio-length.ts";

function wav(bytesPerSecond: number): Buffer {
  const head = Buffer.alloc(44);
  head.write("RIFF\0\0\0\0WAVEfmt ", "latin1");
  head.writeUInt32LE(bytesPerSecond, 28);
  return head;
}

test("PCM and WAV are measured exactly; a header that claims impossible density does not make hours cheap", () => {
  expect(pcmLength(96_000).ms).toBe(2_000);
  expect(audioLength(wav(16_000), 32_000)).toEqual({ ms: 2_000, boundMs: 2_000 });
  expect(audioLength(wav(0xffff_ffff), 28_800_000).ms).toBe(100_000);
});

test("MP3 goes by the rate of its first frame, behind a tag too", () => {
  const frame = Buffer.from([0xff, 0xfb, 0x90, 0x64]);
  expect(audioLength(frame, 16_000)).toEqual({ ms: 1_000, boundMs: 2_000 });
  const tag = Buffer.concat([Buffer.from("ID3\x04\0\0\0\0\0\x02", "latin1"), Buffer.alloc(2), frame]);
  expect(audioLength(tag, 16_000).ms).toBe(1_000);
});

test.each(["OggS", "fLaC", "", "garbage"])("of %s, and of anything, the bound is never below the guess", (mark) => {
  const { ms, boundMs } = audioLength(Buffer.from(mark), 1_000_000);
  expect(ms).toBeGreaterThan(0);
  expect(boundMs).toBeGreaterThanOrEqual(ms);
});
