import { expect, test } from "@jest/globals";
import { createSseReader, eventLengthMax, EventTooLargeError } from "./reader.ts";
import { wireEvent, writeSse } from "./writer.ts";
import type { WireEvent } from "../model/events.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function readSplitAt(source: Uint8Array, at: number): WireEvent[] {
  const reader = createSseReader();
  return [...reader.push(source.subarray(0, at)), ...reader.push(source.subarray(at))];
}

const mixed =
  '\uFEFF: comment\r\nevent: a\r\ndata: {"x":"жизнь 🚀"}\r\n\r\n' +
  "id: 7\nretry: 5\ndata:first\ndata: second\ndata\n\n" +
  ":\r\revent: empty\r\rdata: cr only\r\r" +
  "unknown: field\ndata: last\n\n";
const expected: WireEvent[] = [
  { event: "a", data: '{"x":"жизнь 🚀"}' },
  { event: "", data: "first\nsecond\n" },
  { event: "", data: "cr only" },
  { event: "", data: "last" },
];

test("given CR, LF, CRLF, comments and several data lines, when the stream is split at any byte, then the events are the same", () => {
  const source = bytes(mixed);
  for (let at = 0; at <= source.length; at += 1) expect(readSplitAt(source, at)).toEqual(expected);
});

test("given the same stream, when it arrives byte by byte, then the events are the same", () => {
  const reader = createSseReader();
  const events = [...bytes(mixed)].flatMap((byte) => reader.push(Uint8Array.of(byte)));
  expect(events).toEqual(expected);
});

test("given an event without an end, when it outgrows the bound, then it is a clear error, in one line or in many", () => {
  const line = createSseReader();
  expect(() => line.push(bytes(`data: ${"x".repeat(eventLengthMax)}`))).toThrow(EventTooLargeError);
  const lines = createSseReader();
  const many = bytes(`data: ${"x".repeat(1_000)}\n`.repeat(100));
  expect(() => {
    for (let count = 0; count < 11; count += 1) lines.push(many);
  }).toThrow(EventTooLargeError);
  const whole = createSseReader();
  expect(() => whole.push(bytes(`data: ${"x".repeat(eventLengthMax)}\n\n`))).toThrow(EventTooLargeError);
});

test("given a long silence kept alive by comments, when an event follows, then it is read", () => {
  const reader = createSseReader();
  const comments = bytes(`: ${"x".repeat(1_000)}\n`.repeat(100));
  for (let count = 0; count < 30; count += 1) expect(reader.push(comments)).toEqual([]);
  expect(reader.push(bytes("\ndata: ok\n\n"))).toEqual([{ event: "", data: "ok" }]);
});

test("given text with line ends of every kind, when it is written, then it is read back as one event and nothing else", () => {
  const text = "a\r\n\r\ndata: injected\n\nevent: b\u2028c\u2029d\u0000\u0085e";
  const written = writeSse(wireEvent("message_start", { text }));
  expect(written.split(/[\r\n\u2028\u2029]/)).toHaveLength(4);
  const [event, ...others] = createSseReader().push(bytes(written));
  expect(others).toEqual([]);
  expect(event?.event).toBe("message_start");
  expect(JSON.parse(event?.data ?? "")).toEqual({ text });
});

test("given a name or data that would make a field of its own, when it is written, then it is a defect", () => {
  expect(() => writeSse({ event: "a\ndata: x", data: "{}" })).toThrow("invariant");
  expect(() => writeSse({ event: "", data: "{}\n\ndata: x" })).toThrow("invariant");
});
