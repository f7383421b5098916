import { expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { createSseReader } from "../src/sse/reader.ts";
import { convertStream, expectationFile, othersThan, recordings } from "./_util.ts";

// Recordings in the official shapes of each provider, and what a client of every other dialect must get of them.

const pairs = recordings().flatMap((recording) =>
  othersThan(recording.provider).map((client) => ({
    title: `given ${recording.provider}/${recording.name}, when a ${client} client reads it`,
    recording,
    client,
  })),
);

test.each(pairs)("$title, then it gets the expected stream", ({ recording, client }) => {
  const expected = readFileSync(expectationFile(recording, client), "utf8");
  expect(convertStream(client, recording.provider, [recording.bytes])).toBe(expected);
});

test.each(pairs)("$title byte by byte, then it gets the same stream", ({ recording, client }) => {
  const { bytes, provider } = recording;
  const single = [...bytes].map((byte) => Uint8Array.of(byte));
  expect(convertStream(client, provider, single)).toBe(convertStream(client, provider, [bytes]));
});

test.each(recordings())(
  "given $provider/$name, when it is split at any byte, then its events are the same",
  ({ bytes }) => {
    const whole = createSseReader().push(bytes);
    expect(whole.length).toBeGreaterThan(0);
    for (let at = 1; at < bytes.length; at += 1) {
      const reader = createSseReader();
      const events = [...reader.push(bytes.subarray(0, at)), ...reader.push(bytes.subarray(at))];
      expect(JSON.stringify(events)).toBe(JSON.stringify(whole));
    }
  },
);
