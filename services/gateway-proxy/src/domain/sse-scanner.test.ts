import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { eventBytesMax, EventTooLarge, SseScanner } from "./sse-scanner.ts";

function scan(chunks: readonly Uint8Array[]): { name: string; data: string }[] {
  const scanner = new SseScanner();
  return chunks.flatMap((chunk) =>
    scanner.push(chunk).map(({ name, data }) => ({ name, data: data.toString("utf8") })),
  );
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const points = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...points, bytes.length].map((end, index) => bytes.subarray(points[index - 1] ?? 0, end));
}

const stream = Buffer.from(
  ': keep-alive\r\nevent: delta\r\ndata: {"text":"Привет 👋"}\r\n\r\ndata:two\ndata: lines\n\nid: 7\rretry: 1\rdata: [DONE]\r\r',
);
const events = [
  { name: "delta", data: '{"text":"Привет 👋"}' },
  { name: "", data: "two\nlines" },
  { name: "", data: "[DONE]" },
];

test("comments, ids and retries are dropped; data lines are joined; every line end counts", () => {
  expect(scan([stream])).toEqual(events);
});

test("the same events come out wherever the bytes are split", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 40 }), (cuts) => expect(scan(split(stream, cuts))).toEqual(events)),
  );
  expect(scan([...stream].map((byte) => Uint8Array.of(byte)))).toEqual(events);
});

test("text inside a value cannot begin a new event or field", () => {
  const hostile = Buffer.from('data: {"t":"\\r\\rdata: fake\\u2028"}\n\n');
  expect(scan([hostile])).toEqual([{ name: "", data: '{"t":"\\r\\rdata: fake\\u2028"}' }]);
});

test("an unfinished event is not delivered, and is known to be unfinished", () => {
  const scanner = new SseScanner();
  expect(scanner.push(Buffer.from("data: half"))).toEqual([]);
  expect(scanner.unfinished).toBe(true);
});

test("an event that never ends is refused at its bound instead of being kept", () => {
  const scanner = new SseScanner();
  scanner.push(Buffer.from("data: "));
  const push = (): void => {
    for (let kept = 0; kept <= eventBytesMax; kept += 65_536) scanner.push(Buffer.alloc(65_536, 0x61));
  };
  expect(push).toThrow(EventTooLarge);
});

test("many short data lines of one event count towards the bound too", () => {
  const scanner = new SseScanner();
  const lines = Buffer.from("data: 0123456789\n".repeat(10_000));
  const push = (): void => {
    for (let round = 0; round < 20; round += 1) scanner.push(lines);
  };
  expect(push).toThrow(EventTooLarge);
});
