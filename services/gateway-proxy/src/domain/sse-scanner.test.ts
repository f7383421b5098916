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

test("an event that is written as we write it says where it stands, and no other does", () => {
  const plain = ["data: {}\n\n", "event: a.b\ndata: {}\n\n", "data:  two spaces\n\n"];
  const others = [
    "data:{}\n\n",
    "data: {}\r\n\r\n",
    "data: {}\n\r",
    ": comment\ndata: {}\n\n",
    "data: {}\nid: 1\n\n",
    "data: {}\nevent: late\n\n",
    "event:a\ndata: {}\n\n",
    "event: a\nevent: b\ndata: {}\n\n",
    "data: a\ndata: b\n\n",
    "event\ndata: {}\n\n",
    "foo: bar\ndata: {}\n\n",
    "data\n\n",
  ];
  const blocks = fc.array(fc.constantFrom(...plain, ...others, ": keep-alive\n\n"), { maxLength: 12 });
  fc.assert(
    fc.property(blocks, fc.array(fc.nat(), { maxLength: 3 }), (written, cuts) => {
      const scanner = new SseScanner();
      for (const piece of split(Buffer.from(written.join("")), cuts)) {
        for (const { name, data, bytes, wireFrom, wireTo } of scanner.push(piece)) {
          if (wireFrom < 0) continue;
          const head = name === "" ? "" : `event: ${name}\n`;
          expect(bytes.toString("utf8", wireFrom, wireTo)).toBe(`${head}data: ${data.toString()}\n\n`);
        }
      }
      const whole = new SseScanner().push(Buffer.from(written.join("")));
      const isPlain = written.filter((block) => block !== ": keep-alive\n\n").map((block) => plain.includes(block));
      expect(whole.map(({ wireFrom }) => wireFrom >= 0)).toEqual(isPlain);
    }),
  );
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

test("an event beyond its bound is refused too when its end comes with the piece that passes the bound", () => {
  const scanner = new SseScanner(100);
  scanner.push(Buffer.from(`data: ${"a".repeat(90)}`));
  expect(() => scanner.push(Buffer.from(`${"a".repeat(11)}\n\n`))).toThrow(EventTooLarge);
});
