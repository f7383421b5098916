import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { ChunkReader, chunkFacts, isDone, marksOf, textBytesAt, type Letters } from "./chat-chunk.ts";

const lettersOf = (data: Buffer): Letters => ({ text: data.toString("latin1"), from: 0, to: data.length });
const answerBytes = (data: Buffer): number => chunkFacts(lettersOf(data)).answerBytes;
const mayFinish = (data: Buffer): boolean => chunkFacts(lettersOf(data)).mayFinish;
const needsParsing = (data: Buffer): boolean => chunkFacts(lettersOf(data)).needsParsing;

const chunk = (choices: unknown): unknown => ({ id: "c", object: "chat.completion.chunk", choices });
const compact = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const pretty = (value: unknown): Buffer => Buffer.from(JSON.stringify(value, undefined, 2));
/** As Python's json.dumps writes. */
const spaced = (value: unknown): Buffer => Buffer.from(JSON.stringify(value).replaceAll(/(?<!\\)":/g, '": '));

describe.each([
  ["without spaces", compact],
  ["with spaces", spaced],
  ["over several lines", pretty],
])("JSON %s", (_name, write) => {
  test("given text of a delta, then its bytes are counted, in every field that is answer text", () => {
    expect(answerBytes(write(chunk([{ index: 0, delta: { role: "assistant", content: "привет" } }])))).toBe(12);
    expect(answerBytes(write(chunk([{ delta: { reasoning_content: "abc" } }, { delta: { refusal: "de" } }])))).toBe(5);
    expect(answerBytes(write(chunk([{ delta: { tool_calls: [{ function: { name: "f", arguments: "{}" } }] } }])))).toBe(
      2,
    );
  });

  test("given reasoning that its details repeat, then it is counted once; details alone are counted too", () => {
    const reasoning_details = [{ type: "reasoning.text", text: "abc" }];
    expect(answerBytes(write(chunk([{ delta: { reasoning_content: "abc", reasoning_details } }])))).toBe(3);
    expect(answerBytes(write(chunk([{ delta: { reasoning: null, reasoning_details } }])))).toBe(3);
  });

  test("given no text, then nothing is counted", () => {
    expect(answerBytes(write(chunk([{ delta: { content: null } }])))).toBe(0);
    expect(answerBytes(write(chunk([{ delta: { role: "content" } }])))).toBe(0);
  });

  test("given text that looks like a field, then it is counted once, as text", () => {
    const content = '"content":"aaaa"';
    expect(answerBytes(write(chunk([{ delta: { content } }])))).toBe(JSON.stringify(content).length - 2);
  });

  test("given a finish reason, then the answer may end here; given null, not", () => {
    expect(mayFinish(write(chunk([{ delta: {}, finish_reason: null }])))).toBe(false);
    expect(mayFinish(write(chunk([{ delta: {}, finish_reason: "stop" }])))).toBe(true);
    expect(mayFinish(write(chunk([{ finish_reason: null }, { finish_reason: "length" }])))).toBe(true);
  });
});

test("given the end mark, then nothing else is taken for it", () => {
  expect(isDone(lettersOf(Buffer.from("[DONE]")))).toBe(true);
  expect(isDone(lettersOf(Buffer.from("[DONE] ")))).toBe(false);
  expect(isDone({ text: "x[DONE]x", from: 1, to: 7 })).toBe(true);
});

test("given usage or an error anywhere, then the event is parsed", () => {
  expect(needsParsing(compact({ usage: null }))).toBe(true);
  expect(needsParsing(compact({ error: {} }))).toBe(true);
  expect(needsParsing(compact(chunk([])))).toBe(false);
});

test("what stands before and behind an event in the same bytes is none of it, wherever the event breaks off", () => {
  const marks = marksOf("content", "text");
  const event = '{"choices":[{"delta":{"content" : "a\\"b","text":"c"},"finish_reason": "stop"}],"usage" : {}}';
  const around = fc.constantFrom(
    "",
    "{",
    '"',
    ' : "x"',
    ":",
    '\n\ndata: {"usage":{},"content":"xyz","finish_reason":"stop"}',
    "\\",
  );
  fc.assert(
    fc.property(around, around, fc.nat(event.length), (before, behind, length) => {
      const part = event.slice(0, length);
      const within = { text: before + part + behind, from: before.length, to: before.length + length };
      const alone = { text: part, from: 0, to: length };
      expect(chunkFacts(within)).toEqual(chunkFacts(alone));
      expect(textBytesAt(within, marks)).toBe(textBytesAt(alone, marks));
    }),
  );
});

test("a reader of one event after another says of each what it says alone", () => {
  const text = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 8 }),
    fc.constantFrom('"', "\\", '\\"', '","usage":1,"x":"', "\n"),
  );
  const alike = fc.record({
    delta: fc.record({ content: text }),
    finish_reason: fc.constantFrom(null, null, null, "stop"),
  });
  const other = fc.record({
    delta: fc.record(
      { role: text, content: text, reasoning_content: text, reasoning_details: fc.constant([{ text: "a" }]) },
      { requiredKeys: [] },
    ),
  });
  const one = fc.record(
    {
      choices: fc.array(fc.oneof({ weight: 4, arbitrary: alike }, other), { minLength: 1, maxLength: 2 }),
      usage: fc.constant({}),
      obfuscation: text,
    },
    { requiredKeys: ["choices"] },
  );
  const repeated = fc
    .tuple(one, fc.integer({ min: 1, max: 3 }))
    .map(([event, times]) => Array.from({ length: times }, () => event));
  fc.assert(
    fc.property(fc.array(repeated, { maxLength: 6 }), (groups) => {
      const reader = new ChunkReader();
      for (const event of groups.flat()) {
        const bytes = compact({ id: "c", ...event });
        const letters = { ...lettersOf(bytes), bytes };
        expect(reader.read(letters)).toEqual(chunkFacts(letters));
      }
    }),
  );
});
